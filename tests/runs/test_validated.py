"""The validation that belongs to a checkpoint is found by its step."""

import json

import pytest

from dylora.runs.validated import validated_curve


@pytest.fixture
def run(tmp_path):
    epochs = [{"step": step, "metrics": {"f1": {"1": step / 100, "2": 0.5}}} for step in (5, 10)]
    (tmp_path / "rank_metrics.json").write_text(json.dumps({"epochs": epochs}))
    (tmp_path / "cuts").mkdir()
    svd = {"cut": "svd", "checkpoint": "last.ckpt", "step": 10, "metrics": {"f1": {"1": 0.75}}}
    (tmp_path / "cuts" / "svd.json").write_text(json.dumps(svd))
    return tmp_path


def test_each_checkpoint_has_the_curve_of_its_own_step(run):
    assert validated_curve(run, "best.ckpt", 5, "f1") == {1: 0.05, 2: 0.5}
    assert validated_curve(run, "last.ckpt", 10, "f1") == {1: 0.1, 2: 0.5}


def test_a_checkpoint_that_was_not_validated_has_none(run, tmp_path):
    assert validated_curve(run, "last.ckpt", 8, "f1") is None
    assert validated_curve(run, "last.ckpt", 10, "accuracy") is None
    assert validated_curve(tmp_path / "nowhere", "last.ckpt", 10, "f1") is None


def test_a_cut_has_the_curve_of_its_own_checkpoint_alone(run):
    assert validated_curve(run, "last.ckpt", 10, "f1", "svd") == {1: 0.75}
    assert validated_curve(run, "best.ckpt", 10, "f1", "svd") is None
    assert validated_curve(run, "last.ckpt", 5, "f1", "svd") is None
    assert validated_curve(run, "last.ckpt", 10, "f1", "alpha/b") is None
