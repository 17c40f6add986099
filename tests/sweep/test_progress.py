"""The time that is left follows from the runs that are finished."""

from dataclasses import replace

import pytest

from dylora.sweep.expansion import expand
from dylora.sweep.progress import Progress


@pytest.fixture
def runs(experiment, tmp_path):
    return expand(experiment, "s", tmp_path, {})


def _ended(run, seconds, status="finished"):
    return replace(run.record(), status=status, seconds=seconds)


def test_a_task_takes_as_long_as_its_finished_runs_and_an_unknown_one_the_mean(runs):
    progress = Progress(runs)
    assert progress.seconds_left() is None
    mrpc = [run for run in runs if run.task == "mrpc"]
    rte = [run for run in runs if run.task == "rte"]
    progress.line(mrpc[0], _ended(mrpc[0], 100))
    assert progress.seconds_left() == 7 * 100
    progress.line(rte[0], _ended(rte[0], 20))
    assert progress.seconds_left() == 3 * 100 + 3 * 20


def test_failed_runs_tell_nothing_and_jobs_share_the_rest(runs):
    progress = Progress(runs, jobs=2)
    progress.line(runs[0], _ended(runs[0], 1, "failed"))
    assert progress.seconds_left() is None
    assert progress.line(runs[1], _ended(runs[1], 60)) == (
        "[2/8] dylora mrpc seed 10: finished after 1 min 00 s; 3 min 00 s left"
    )


def test_skipped_runs_are_counted(runs):
    progress = Progress(runs[:2])
    progress.skip(runs[0], _ended(runs[0], 10))
    assert progress.line(runs[1], _ended(runs[1], 10)) == "[2/2] dylora mrpc seed 10: finished after 10 s"


def test_what_is_under_way_is_named_with_its_place_and_the_time_left(runs):
    progress = Progress(runs)
    assert progress.state(runs) == f"[1/8] {runs[0].record().title}: running"
    progress.line(runs[0], _ended(runs[0], 60))
    assert progress.state(runs[1:]) == f"[2/8] {runs[1].record().title}: running; 7 min 00 s left"
    assert Progress(runs, jobs=3).state(runs) == "[1/8] 3 runs at a time: running"
