"""The learning rate of a grid is chosen by what each run was trained for."""

import json
from dataclasses import replace

import pytest

from dylora.sweep.expansion import expand
from dylora.sweep.file import System
from dylora.sweep.tuning import resolve

SMALL_RATE = {"1": 0.7, "2": 0.8}  # area 0.75
LARGE_RATE = {"1": 0.5, "2": 0.9}  # area 0.70


@pytest.fixture
def chosen(experiment, tmp_path):
    """Give the rate that the second seed gets, for the rank curves of two rates and the sign of the score."""

    def learning_rate(system, curves, sign=1.0):
        system = replace(system, learning_rates=tuple(curves))
        part = replace(experiment, systems={"one": system}, tasks={"rte": experiment.tasks["rte"]})
        *tried, waiting = expand(part, "s", tmp_path, {})
        for run, curve in zip(tried, curves.values(), strict=True):
            aurac = sum(curve.values()) / 2
            last = {"score": sign * aurac, "aurac": aurac, "metrics": {"m": curve}}
            run.place.mkdir(parents=True)
            (run.place / "rank_metrics.json").write_text(json.dumps({"metric": "m", "last": last}))
            replace(run.record(), status="finished", result=".").write(run.place)
        return resolve(waiting, tried).learning_rate

    return learning_rate


def test_a_nested_system_is_tuned_by_the_area_under_its_rank_curve(chosen):
    assert chosen(System(), {1e-3: SMALL_RATE, 2e-3: LARGE_RATE}) == 1e-3


def test_a_system_that_is_cut_is_tuned_at_the_rank_it_was_trained_at(chosen):
    assert chosen(System(cuts=("svd",)), {1e-3: SMALL_RATE, 2e-3: LARGE_RATE}) == 2e-3


@pytest.mark.parametrize(("system", "rate"), [(System(), 2e-3), (System(cuts=("svd",)), 1e-3)])
def test_of_a_metric_that_falls_as_models_improve_the_lowest_is_best(chosen, system, rate):
    assert chosen(system, {1e-3: SMALL_RATE, 2e-3: LARGE_RATE}, sign=-1.0) == rate
