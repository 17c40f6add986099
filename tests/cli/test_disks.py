"""A full disk, a folder that is gone, a place that cannot be written, a signal while a command starts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import tiny
import torch

from dylora.callbacks.predictions import write_records
from dylora.cli import main
from dylora.runs.checkpoints import read_checkpoint
from dylora.whole_files import UnwritableError

RUN = Path("logs") / "restaurants" / "version_0"


def test_a_disk_that_fills_up_ends_training_in_one_line_that_names_the_last_good_checkpoint(
    backbone, tmp_path, refused, monkeypatch
):
    monkeypatch.setattr(os, "fsync", os.fsync)  # to put it back
    line = refused("fit", *tiny.options(backbone, tmp_path, **{"trainer.callbacks+": "record.FullDisk"}))
    monkeypatch.undo()
    run = tmp_path / RUN
    resume = ["fit", "--config", f"{run}/config.yaml", "--ckpt_path", f"{run}/checkpoints/last.ckpt"]
    assert "No space left on device" in line
    assert f"{run}/checkpoints/last.ckpt is whole" in line
    assert f"python -m dylora {' '.join(resume)}" in line
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 5
    main([*resume, "--trainer.callbacks=null"])
    assert read_checkpoint(run.with_name("version_1") / "checkpoints" / "last.ckpt")["global_step"] == 10


@pytest.mark.parametrize("logger", ["true", "false"])
def test_a_folder_that_goes_ends_training_in_one_line_or_is_made_anew(backbone, tmp_path, capsys, logger):
    changes = {"trainer.callbacks+": "record.LoseFolder", "trainer.logger": logger}
    options = tiny.options(backbone, tmp_path, **changes)
    if logger == "true":  # TensorBoard writes to it every few steps
        with pytest.raises(SystemExit):
            main(["fit", *options])
        assert "Traceback" not in (err := capsys.readouterr().err)
        assert re.search(r"version_0: must be one that can be written, got .*nothing was saved yet\n$", err)
        return
    main(["fit", *options])
    run = tmp_path / RUN
    main(["validate", "--config", f"{run}/config.yaml", "--trainer.callbacks=null"])
    assert [epoch["epoch"] for epoch in tiny.metrics_of(run)["epochs"]] == [1, 2]


def test_a_disk_without_room_for_the_checkpoints_is_refused_before_training(backbone, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage())
    line = refused("fit", *tiny.options(backbone, tmp_path))
    assert re.search(r"--trainer.default_root_dir: must be a folder with 1.0 MiB free, got '.*' with 0.5 MiB", line)
    assert not (tmp_path / "logs").exists()


class _Usage:
    free = 2**19


def test_an_unusable_output_is_refused_before_anything_is_predicted(trained, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(trained)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("lightning.pytorch.Trainer.predict", lambda *_, **__: pytest.fail("it was begun"))
    monkeypatch.setattr("dylora.deploy.load.load", lambda *_, **__: pytest.fail("it was loaded"))
    for command in ("predict", "export"):
        line = refused(command, "--output", tmp_path / "file" / "deep")
        assert "--output: must be a folder that can be written, got" in line
    (tmp_path / "plot.svg").write_text("mine")
    assert "--plot: must be a new file, got" in refused("report", "--plot", tmp_path / "plot.png")
    assert (tmp_path / "plot.svg").read_text() == "mine"


def test_predictions_that_cannot_be_written_are_kept_in_another_place(tmp_path):
    (tmp_path / "file").write_text("")
    records = {"test": [{"index": 0}, {"index": 1}], "more": [{"index": 0}]}
    with pytest.raises(UnwritableError, match=r"all predictions are kept in (.+)$") as caught:
        write_records(tmp_path / "file", records)
    other = Path(str(caught.value).rpartition("kept in ")[2])
    kept = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in other.iterdir()}
    assert kept == records


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer.limit_train_batches": -3},
        {"trainer.accelerator": "cuda", "trainer.devices": 77},
        {"data.task": "mrpc", "data.data_dir": "nowhere"},
    ],
)
def test_a_refused_start_leaves_no_folder(backbone, tmp_path, refused, changes):
    refused("fit", *tiny.options(backbone, tmp_path, **changes))
    assert not (tmp_path / "logs").exists()


def test_a_refused_resume_leaves_no_folder(trained, backbone, tmp_path, refused):
    checkpoint = trained / RUN / "checkpoints" / "last.ckpt"
    (tmp_path / "half.ckpt").write_bytes(checkpoint.read_bytes()[:999])
    refused("fit", *tiny.options(backbone, tmp_path), "--ckpt_path", tmp_path / "half.ckpt")
    other = {"model.adapter.max_rank": 2}
    refused("fit", *tiny.options(backbone, tmp_path, **other), "--ckpt_path", checkpoint)
    assert not (tmp_path / "logs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("seconds", [0.5, 3])
def test_a_signal_while_a_command_starts_ends_it_in_one_line_and_leaves_no_folder(
    backbone, tmp_path, number, status, seconds
):
    command = [sys.executable, "-m", "dylora", "fit", *tiny.options(backbone, tmp_path)]
    heard = partial(signal.signal, number, signal.SIG_DFL)  # a shell lets its background jobs ignore SIGINT
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heard)
    time.sleep(seconds)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert err == "Interrupted\n"
    assert process.returncode in (status, -number)  # of a signal while C code was loading; a shell shows both alike
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_behind_the_trainers_begin_and_before_the_first_step_leaves_no_folder(
    backbone, tmp_path, capsys, name, status
):
    fault = {"trainer.callbacks+": "record.FailSetup", "trainer.callbacks.name": name}
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets background jobs ignore it
    try:
        with pytest.raises(SystemExit) as caught:
            main(["fit", *tiny.options(backbone, tmp_path, **fault)])
    finally:
        signal.signal(signal.SIGINT, heard)
    assert caught.value.code == status
    out, err = capsys.readouterr()
    assert "Interrupted" not in out
    assert err.endswith("\nInterrupted\n")
    assert not (tmp_path / "logs").exists()


def test_a_bug_before_the_first_step_leaves_no_folder(backbone, tmp_path):
    """Its configuration would be taken for that of a run."""
    fault = {"trainer.callbacks+": "record.FailSetup", "trainer.callbacks.name": "bug"}
    with pytest.raises(ZeroDivisionError):
        main(["fit", *tiny.options(backbone, tmp_path, **fault)])
    assert not (tmp_path / "logs").exists()


def test_a_file_without_digests_whose_moments_are_of_other_parameters_is_refused_in_one_line(
    trained, backbone, tmp_path, capsys
):
    checkpoint = torch.load(trained / RUN / "checkpoints" / "last.ckpt", weights_only=True)
    del checkpoint["digests"]
    checkpoint["optimizer_states"][0]["state"][0]["exp_avg"] = torch.zeros(3, 3)
    torch.save(checkpoint, tmp_path / "older.ckpt")
    more = {"trainer.max_epochs": 3}
    with pytest.raises(SystemExit) as caught:
        main(["fit", *tiny.options(backbone, tmp_path, **more), "--ckpt_path", str(tmp_path / "older.ckpt")])
    assert caught.value.code == 2
    assert (
        "--ckpt_path: must be a checkpoint of this optimizer, got one in which exp_avg has" in capsys.readouterr().err
    )
    assert not (tmp_path / "logs").exists()
