"""A report on systems that have learned nothing says so."""

import numpy as np
import pytest

from dylora.rank_curve.kept import KeptOutcomes
from dylora.report.chance import chance_note
from dylora.report.curves import build_curves
from dylora.report.results import read_results


@pytest.fixture
def notes(tmp_path):
    return lambda: chance_note(build_curves(read_results([tmp_path], None, "last")[0])[0])


def kept(predicted, expected):
    places = np.arange(len(expected))
    return KeptOutcomes("classes", "accuracy", (1, 8), np.stack([predicted, predicted]), expected, 0 * places, places)


def save(save_run, system, task, predicted, expected):
    right = float((predicted == expected).mean())
    save_run(system, task, 10, {"accuracy": {1: right, 8: right}}, kept={"": kept(predicted, expected)})


EXPECTED = np.array([1, 1, 0] * 100)


def test_guesses_and_a_constant_answer_are_at_chance(save_run, notes):
    guesses = np.random.default_rng(0).integers(2, size=300)
    save(save_run, "lora", "rte", guesses, EXPECTED)
    save(save_run, "dylora", "rte", np.ones(300, dtype=int), EXPECTED)
    association = 100 * abs(np.corrcoef(guesses, EXPECTED)[0, 1])
    assert notes() == [
        f"At chance at every rank of every system: rte (matthews of predictions and labels {association:.1f} at most, "
        "guesses have up to 17.3 on 300 examples, the majority class has accuracy 66.7); this report tells no systems "
        "apart: train longer, at another learning rate, or take another backbone or task"
    ]


def test_one_system_that_has_learned_is_enough_whatever_the_majority_has(save_run, notes):
    save(save_run, "lora", "rte", np.ones(300, dtype=int), EXPECTED)
    learned = EXPECTED.copy()
    learned[:120] = 1 - learned[:120]  # right on 60 of 100, less than the majority class
    save(save_run, "dylora", "rte", learned, EXPECTED)
    assert notes() == []


def test_only_the_tasks_at_chance_are_named(save_run, notes):
    save(save_run, "lora", "mrpc", EXPECTED, EXPECTED)
    save(save_run, "lora", "rte", np.ones(300, dtype=int), EXPECTED)
    assert len(notes()) == 1
    assert "rte (" in notes()[0]
    assert "mrpc" not in notes()[0]
    assert "; it tells no systems apart" in notes()[0]


@pytest.mark.parametrize(
    ("metric", "value", "is_at_chance"),
    [
        ("matthews", 0.0, True),
        ("pearson", -0.04, True),
        ("pearson", 0.3, False),
        ("f1", 0.0, False),
        ("loss", 1, False),
    ],
)
def test_without_outcomes_only_correlations_tell(save_run, notes, metric, value, is_at_chance):
    save_run("lora", "cola", 10, {metric: {1: value, 8: value}})
    assert bool(notes()) == is_at_chance
