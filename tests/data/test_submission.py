"""The leaderboard's files."""

import pytest

from dylora.data.submission import submission_lines, submission_path, write_submission
from dylora.errors import InputError
from dylora.tasks import get_task


@pytest.mark.parametrize(
    ("task", "predictions", "expected"),
    [
        ("cola", {0: 1, 1: 0}, ["0\t1", "1\t0"]),
        ("sst2", {0: 0, 1: 1}, ["0\t0", "1\t1"]),
        ("mrpc", {0: 1, 1: 0}, ["0\t1", "1\t0"]),
        ("qqp", {0: 0, 1: 1}, ["0\t0", "1\t1"]),
        ("stsb", {0: 5.3, 1: -0.2, 2: 3.14159}, ["0\t5.000", "1\t0.000", "2\t3.142"]),
        ("mnli", {0: 0, 1: 1, 2: 2}, ["0\tentailment", "1\tneutral", "2\tcontradiction"]),
        ("qnli", {0: 0, 1: 1}, ["0\tentailment", "1\tnot_entailment"]),
        ("rte", {0: 1, 1: 0}, ["0\tnot_entailment", "1\tentailment"]),
    ],
)
def test_lines_hold_what_the_leaderboard_asks_of_each_task(task, predictions, expected):
    assert submission_lines(get_task(task), predictions) == ["index\tprediction", *expected]


def test_rows_are_written_in_their_order_however_they_come():
    lines = submission_lines(get_task("cola"), {2: 1, 0: 0, 1: 1})
    assert lines[1:] == ["0\t0", "1\t1", "2\t1"]


@pytest.mark.parametrize("predictions", [{}, {0: 1, 2: 0}, {1: 1}])
def test_missing_rows_are_refused(predictions):
    with pytest.raises(InputError, match=r"--submission: must be a run over the whole test split"):
        submission_lines(get_task("cola"), predictions)


@pytest.mark.parametrize(
    ("task", "split", "name"),
    [
        ("cola", "test", "CoLA.tsv"),
        ("sst2", "test", "SST-2.tsv"),
        ("mrpc", "test", "MRPC.tsv"),
        ("stsb", "test", "STS-B.tsv"),
        ("qqp", "test", "QQP.tsv"),
        ("mnli", "test_matched", "MNLI-m.tsv"),
        ("mnli", "test_mismatched", "MNLI-mm.tsv"),
        ("qnli", "test", "QNLI.tsv"),
        ("rte", "test", "RTE.tsv"),
    ],
)
def test_files_have_the_official_names(tmp_path, task, split, name):
    assert submission_path(get_task(task), tmp_path, split) == tmp_path / name


def test_both_files_of_mnli_are_written(tmp_path):
    predictions = {"test_matched": {0: 0}, "test_mismatched": {0: 2}}
    written = write_submission(get_task("mnli"), tmp_path / "new" / "folder", predictions)
    assert [path.name for path in written] == ["MNLI-m.tsv", "MNLI-mm.tsv"]
    assert written[0].read_bytes() == b"index\tprediction\n0\tentailment\n"
    assert written[1].read_bytes() == b"index\tprediction\n0\tcontradiction\n"


def test_nothing_is_written_over_and_nothing_beside_it(tmp_path):
    (tmp_path / "MNLI-mm.tsv").write_text("mine")
    with pytest.raises(
        InputError, match=r"--submission: must be a folder without the file, got .*MNLI-mm\.tsv; remove"
    ):
        write_submission(get_task("mnli"), tmp_path, {"test_matched": {0: 0}, "test_mismatched": {0: 2}})
    assert (tmp_path / "MNLI-mm.tsv").read_text() == "mine"
    assert not (tmp_path / "MNLI-m.tsv").exists()


def test_validation_predictions_are_no_submission(tmp_path):
    with pytest.raises(InputError, match=r"--submission: must be used with the test split, got used with validation"):
        write_submission(get_task("rte"), tmp_path, {"validation": {0: 0}})


def test_the_embedded_task_has_no_leaderboard(tmp_path):
    with pytest.raises(InputError, match=r"--submission: must be left out .* task restaurants"):
        write_submission(get_task("restaurants"), tmp_path, {"test": {0: 0}})


def test_unusable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--submission: must be a folder that can be written, got .*file/below"):
        write_submission(get_task("rte"), tmp_path / "file" / "below", {"test": {0: 0}})
