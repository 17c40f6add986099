"""A run is skipped when it is finished, goes on when it was stopped, and is recorded when it fails."""

import os
from datetime import datetime

import pytest

from dylora.runs.record import read_record
from dylora.sweep.expansion import choose, expand
from dylora.sweep.perform import perform


@pytest.fixture
def run(experiment, tmp_path):
    return expand(choose(experiment, ["lora"], ["rte"], [10]), "s", tmp_path, {})[0]


def test_a_run_is_trained_and_evaluated_under_its_cuts(run, fake):
    record = perform(run, fake)
    folder = run.place / "task" / "version_0"
    assert fake.commands == [
        run.command,
        *(
            [
                "validate",
                f"--config={folder / 'config.yaml'}",
                f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}",
                "--rank=all",
                f"--cut={cut}",
            ]
            for cut in ("alpha/b", "svd")
        ),
    ]
    assert (record.status, record.result, record.error) == ("finished", "task/version_0", None)
    assert read_record(run.place) == record
    assert record.finished is not None
    assert record.seconds > 0


def test_a_finished_run_is_left_alone(run, fake):
    first = perform(run, fake)
    fake.commands.clear()
    assert perform(run, fake) == first
    assert fake.commands == []


def test_a_cut_that_was_added_later_is_evaluated_without_training(run, fake, experiment, tmp_path):
    perform(run, fake)
    (run.place / "task" / "version_0" / "cuts" / "svd.json").unlink()
    fake.commands.clear()
    assert perform(run, fake).status == "finished"
    assert [command[0] for command in fake.commands] == ["validate"]
    assert "--cut=svd" in fake.commands[0]


@pytest.mark.parametrize(("status", "called"), [(130, "interrupted"), (1, "failed")])
def test_a_run_that_stopped_goes_on_from_its_last_checkpoint(run, fake, status, called):
    fake.outcomes["rte"] = [status]
    first = perform(run, fake)
    assert (first.status, first.result) == (called, None)
    fake.commands.clear()
    second = perform(run, fake)
    last = run.place / "task" / "version_0" / "checkpoints" / "last.ckpt"
    assert fake.commands[0] == [*run.command, f"--ckpt_path={last}"]
    assert (second.status, second.result) == ("finished", "task/version_1")
    assert second.seconds > first.seconds


def test_a_run_that_was_killed_counts_its_time_up_to_the_checkpoint(run, fake):
    fake.outcomes["rte"] = [1]
    perform(run, fake)
    record = run.record()
    started = "2026-01-01T10:00:00+00:00"
    type(record)(**{**vars(record), "status": "running", "started": started}).write(run.place)
    moment = datetime.fromisoformat(started).timestamp() + 500
    os.utime(run.place / "task" / "version_0" / "checkpoints" / "last.ckpt", (moment, moment))
    assert perform(run, fake).seconds == pytest.approx(500, abs=5)


def test_the_last_line_of_a_failed_run_is_recorded(run, fake):
    fake.outcomes["rte"] = [1]
    assert perform(run, fake).error == "ValueError: no memory left"


def test_a_unicode_separator_in_the_last_line_does_not_cut_it(run):
    def failing(arguments, output):
        output.write_text("Run logs\ndylora: error: --data.data_dir: got a\u2028b\n", encoding="utf-8")
        return 2

    assert perform(run, failing).error == "--data.data_dir: got a\u2028b"


def test_training_without_a_validation_is_a_failure(run, fake, monkeypatch):
    monkeypatch.setattr(fake, "_fit", lambda place, output: 0)
    record = perform(run, fake)
    assert record.status == "failed"
    assert record.error == "fit ended without rank_metrics.json: nothing was validated"


def test_a_cut_that_fails_fails_the_run_and_is_tried_again(run, fake):
    carry_out = fake.__call__

    def failing(arguments, output):
        return 2 if arguments[0] == "validate" else carry_out(arguments, output)

    assert perform(run, failing).status == "failed"
    fake.commands.clear()
    assert perform(run, fake).status == "finished"
    assert [command[0] for command in fake.commands] == ["validate", "validate"]
