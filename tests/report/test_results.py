"""Which runs count, and which folders are refused."""

import json
from pathlib import Path

import pytest

from dylora.errors import InputError
from dylora.report.results import read_results

FIGURES = {"f1": {1: 0.5}}


def test_runs_of_the_asked_table_are_taken_and_others_where_there_are_none(save_run, tmp_path):
    save_run("dylora", "mrpc", 10, FIGURES, where="a", table="2")
    save_run("dylora", "mrpc", 10, {"f1": {1: 0.9}}, where="b", table="4", finished="2027-01-01T00:00:00+00:00")
    (result,) = read_results([tmp_path], "2", "last")[0]
    assert result.figures[""] == {"f1": {1: 0.5}}
    (result,), notes = read_results([tmp_path], "3", "last")
    assert result.figures[""] == {"f1": {1: 0.9}}
    assert "2 runs, the newest counts" in notes[0]


def test_the_best_epoch_is_taken_where_it_is_asked_for(save_run, tmp_path):
    save_run("dylora", "mrpc", 10, FIGURES, best={"f1": {1: 0.7}})
    (result,), _ = read_results([tmp_path], None, "best")
    assert result.figures[""] == {"f1": {1: 0.7}}


@pytest.mark.parametrize(
    ("status", "words"), [("running", "has not ended: not counted"), ("interrupted", "was interrupted: not counted")]
)
def test_runs_that_have_not_ended_are_named(save_run, tmp_path, status, words):
    save_run("dylora", "mrpc", 10, FIGURES, status=status)
    assert read_results([tmp_path], None, "last") == ([], [f"dylora mrpc seed 10 {words}"])


def test_the_learning_rate_that_did_best_with_the_first_seed_counts(save_run, tmp_path):
    for rate, score in ((0.001, 0.8), (0.002, 0.9), (0.004, 0.7)):
        save_run("dylora", "mrpc", 10, {"f1": {1: score}}, learning_rate=rate, score=score)
    save_run("dylora", "mrpc", 42, {"f1": {1: 0.1}}, learning_rate=0.002, score=0.1)
    save_run("dylora", "mrpc", 7, {"f1": {1: 1.0}}, learning_rate=0.001, score=1.0)
    results, notes = read_results([tmp_path], None, "last")
    assert sorted((r.record.seed, r.record.learning_rate) for r in results) == [(10, 0.002), (42, 0.002)]
    assert notes == ["dylora mrpc: learning rate 0.002, the best of 0.001, 0.002, 0.004 with seed 10"]


def test_all_learning_rates_are_systems_of_their_own_when_asked(save_run, tmp_path):
    for rate in (0.001, 0.002):
        save_run("dylora", "mrpc", 10, FIGURES, learning_rate=rate)
    save_run("lora", "mrpc", 10, FIGURES)
    results, notes = read_results([tmp_path], None, "last", rates="all")
    assert sorted(r.record.label for r in results) == ["DyLoRA, lr 0.001", "DyLoRA, lr 0.002", "LoRA"]
    assert len({r.record.system for r in results}) == 3
    assert notes == []


def test_a_cut_runs_own_figures_are_those_of_the_cut_named_as_its_scaling(save_run, tmp_path):
    config = "model: {adapter: {scaling: alpha/b}}"
    save_run("lora", "mrpc", 10, {"f1": {1: 0.5, 8: 0.9}}, cuts={"svd": {"f1": {1: 0.8, 8: 0.9}}}, config=config)
    (result,), _ = read_results([tmp_path], None, "last")
    assert result.figures["alpha/b"] == {"f1": {1: 0.5, 8: 0.9}}
    assert result.figures["svd"] == {"f1": {1: 0.8, 8: 0.9}}


def test_a_folder_given_twice_is_read_once(save_run, tmp_path):
    place = save_run("dylora", "mrpc", 10, FIGURES)
    results, notes = read_results([tmp_path, place, tmp_path / "logs"], None, "last")
    assert (len(results), notes) == (1, [])


def test_a_folder_without_runs_and_one_that_does_not_exist(tmp_path):
    with pytest.raises(
        InputError, match=r"FOLDER: must be a folder with runs of a sweep \(run.json\), got .* has none"
    ):
        read_results([tmp_path], None, "last")
    with pytest.raises(InputError, match="which does not exist"):
        read_results([Path("nowhere")], None, "last")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "must be a run's record of format 1, got format 2; read it with the version of dylora"),
        ({"format": None}, "must be a run's record of format 1, got none"),
        ({"colour": "red"}, "must be a run's record, got one with ['colour']"),
    ],
)
def test_a_record_of_another_version(save_run, tmp_path, change, words):
    path = save_run("dylora", "mrpc", 10, FIGURES) / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError) as caught:
        read_results([tmp_path], None, "last")
    assert str(caught.value).startswith(f"{path}: {words}")


def test_files_that_are_cut_off_are_named(save_run, tmp_path):
    place = save_run("dylora", "mrpc", 10, FIGURES)
    metrics = place / "task" / "version_0" / "rank_metrics.json"
    metrics.write_text('{"metric": "f1"}')
    with pytest.raises(InputError, match="must be a file of figures that dylora wrote"):
        read_results([tmp_path], None, "last")
    metrics.unlink()
    with pytest.raises(InputError, match="one that cannot be read"):
        read_results([tmp_path], None, "last")
    (place / "run.json").write_text('{"format"')
    with pytest.raises(InputError, match="must be JSON"):
        read_results([tmp_path], None, "last")
