"""The leaderboard's files."""

import pytest

from dylora.data.submission import Submission, submission_lines, submission_path
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


def _records(*answers):
    return [{"index": index, "ranks": answer} for index, answer in enumerate(answers)]


def test_both_files_of_mnli_are_written_for_each_rank(tmp_path):
    submission = Submission(get_task("mnli"), tmp_path / "new", (1, 3), ("test_matched", "test_mismatched"))
    matched = _records({"1": {"label": "entailment"}, "3": {"label": "neutral"}})
    mismatched = _records({"1": {"label": "contradiction"}, "3": {"label": "entailment"}})
    written = submission.write({"test_matched": matched, "test_mismatched": mismatched})
    names = ["rank_1/MNLI-m.tsv", "rank_1/MNLI-mm.tsv", "rank_3/MNLI-m.tsv", "rank_3/MNLI-mm.tsv"]
    assert [str(path.relative_to(tmp_path / "new")) for path in written] == names
    assert written[0].read_bytes() == b"index\tprediction\n0\tentailment\n"
    assert written[1].read_bytes() == b"index\tprediction\n0\tcontradiction\n"
    assert written[2].read_bytes() == b"index\tprediction\n0\tneutral\n"


def test_a_score_of_a_single_rank_lies_in_the_folder_itself(tmp_path):
    (path,) = Submission(get_task("stsb"), tmp_path, (2,), ("test",)).write({"test": _records({"2": {"score": 1.5}})})
    assert path == tmp_path / "STS-B.tsv"
    assert path.read_bytes() == b"index\tprediction\n0\t1.500\n"


def test_a_file_that_is_there_is_refused_before_anything_is_predicted(tmp_path):
    (tmp_path / "MNLI-mm.tsv").write_text("mine")
    with pytest.raises(
        InputError, match=r"--submission: must be a folder without the file, got .*MNLI-mm\.tsv; remove"
    ):
        Submission(get_task("mnli"), tmp_path, (1,), ("test_matched", "test_mismatched"))


def test_nothing_is_written_over_and_nothing_beside_it(tmp_path):
    submission = Submission(get_task("mnli"), tmp_path, (1,), ("test_matched", "test_mismatched"))
    (tmp_path / "MNLI-mm.tsv").write_text("mine")
    records = _records({"1": {"label": "neutral"}})
    with pytest.raises(InputError, match=r"MNLI-mm\.tsv; remove"):
        submission.write({"test_matched": records, "test_mismatched": records})
    assert (tmp_path / "MNLI-mm.tsv").read_text() == "mine"
    assert not (tmp_path / "MNLI-m.tsv").exists()


def test_validation_predictions_are_no_submission(tmp_path):
    with pytest.raises(InputError, match=r"--submission: must be used with the test split, got used with validation"):
        Submission(get_task("rte"), tmp_path, (1,), ("validation",))


def test_the_embedded_task_has_no_leaderboard(tmp_path):
    with pytest.raises(InputError, match=r"--submission: must be left out .* task restaurants"):
        Submission(get_task("restaurants"), tmp_path, (1,), ("test",))


def test_unusable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--submission: must be a folder that can be written, got .*file/below"):
        Submission(get_task("rte"), tmp_path / "file" / "below", (1,), ("test",))
