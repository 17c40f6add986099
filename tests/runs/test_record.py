"""What a learning rate is chosen by: what each run was trained for."""

import json
import math
from dataclasses import fields

import pytest

from dylora.errors import InputError
from dylora.runs.record import _KINDS, RunRecord, read_record, tuning_score

FALLING = {"1": 0.7, "2": 0.8}  # area 0.75
RISING = {"1": 0.5, "2": 0.9}  # area 0.70
AT_LARGEST = {"rank_sampling.distribution": "max_rank"}


def score_of(curve, overrides, metric="accuracy", sign=1.0):
    aurac = sum(curve.values()) / 2
    content = {"metric": metric, "last": {"score": sign * aurac, "aurac": aurac, "metrics": {metric: curve}}}
    return tuning_score(RunRecord("s", None, "x", "X", "rte", 10, None, 1e-3, overrides, []), content)


def test_a_nested_system_is_tuned_by_the_area_under_its_rank_curve():
    assert score_of(FALLING, {}) == 0.75
    assert score_of(RISING, {}) == 0.70


def test_a_system_trained_at_the_largest_rank_alone_is_tuned_there():
    assert score_of(FALLING, AT_LARGEST) == 0.8
    assert score_of(RISING, AT_LARGEST) == 0.9


@pytest.mark.parametrize(("overrides", "best"), [({}, -0.70), (AT_LARGEST, -0.8)])
def test_of_a_metric_that_falls_as_models_improve_the_lowest_is_best(overrides, best):
    assert max(score_of(curve, overrides, "perplexity", -1.0) for curve in (FALLING, RISING)) == best


def test_the_direction_is_the_metrics_own_where_its_area_is_nought():
    curve = {"1": 2.0, "2": -2.0}
    assert score_of(curve, AT_LARGEST, "ter_pyter", -1.0) == 2.0
    assert score_of(curve, AT_LARGEST, "matthews") == -2.0


def test_a_figure_that_is_no_number_is_never_the_best():
    assert score_of({"1": math.nan, "2": 0.8}, {}) == -math.inf
    assert score_of({"1": 0.7, "2": math.nan}, AT_LARGEST) == -math.inf


def test_the_result_of_a_record_lies_below_its_run(tmp_path):
    RunRecord("s", None, "x", "X", "rte", 10, None, None, {}, [], result="../../other").write(tmp_path)
    with pytest.raises(InputError, match=r"run.json: result: must be a name of a folder below the root"):
        read_record(tmp_path)


def test_every_field_of_a_record_has_its_kinds():
    assert set(_KINDS) == {field.name for field in fields(RunRecord)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": True}, "seed is True"),
        ({"seed": "ten"}, "seed is 'ten'"),
        ({"command": "fit"}, "command is 'fit'"),
        ({"seconds": None}, "seconds is None"),
        ({"overrides": []}, r"overrides is \[\]"),
        ({"status": "lost"}, "status is 'lost'"),
        ({"tunes": 1}, "tunes is 1"),
        ({"extra": 1}, r"one with \['extra'\]"),
        ({"label": None}, "label is None"),
    ],
)
def test_a_record_of_other_kinds_is_refused_in_one_line(tmp_path, changes, words):
    RunRecord("s", None, "x", "X", "rte", 10, None, None, {}, []).write(tmp_path)
    content = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**content, **changes}))
    with pytest.raises(
        InputError, match=rf"run.json: must be a run's record, got one .*{words.removeprefix('one with ')}"
    ):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "missing", ["sweep", "table", "label", "rank", "learning_rate", "overrides", "command", "status"]
)
def test_a_record_without_one_of_its_fields_is_refused_in_one_line(tmp_path, missing):
    RunRecord("s", None, "x", "X", "rte", 10, None, None, {}, []).write(tmp_path)
    content = json.loads((tmp_path / "run.json").read_text())
    del content[missing]
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"run.json: must be a run's record, got one with too few keys"):
        read_record(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null", "{", "[" * 100_000])
def test_a_record_of_another_shape_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run.json: must be (JSON|a run's record of format 1)"):
        read_record(tmp_path)
