"""A user's own model, data, callbacks and loggers, as in any Lightning project."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml

from dylora.cli import main

TESTS = Path(__file__).resolve().parents[1]
PICTURES = {f"{name}.{kind}" for name in ("every_rank", "rank_curve", "epoch_by_rank") for kind in ("png", "svg")}
OURS = {"config.yaml", "checkpoints"}


def _own(root, **changes):
    values = {
        "model": "own_project.Line",
        "data": "own_project.Points",
        "trainer.max_epochs": 2,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.log_every_n_steps": 1,
        "trainer.default_root_dir": root / "logs",
        **changes,
    }
    return [f"--{key}={value}" for key, value in values.items()]


def _csv(root):
    return {"trainer.logger": "CSVLogger", "trainer.logger.save_dir": root / "csv", "trainer.logger.name": "mine"}


@pytest.mark.slow
def test_a_package_on_the_path_brings_model_data_callback_and_logger(tmp_path):
    """From a package on PYTHONPATH, in a process of its own."""
    callback = {"trainer.callbacks+": "own_project.Count", "trainer.callbacks.path": tmp_path / "count"}
    arguments = ["fit", *_own(tmp_path, **_csv(tmp_path), **callback, **{"data.count": 12})]
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "dylora", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "logs" / "Line" / "version_0"
    assert done.stdout.startswith(f"Run {run.relative_to(tmp_path)}: Line\n".replace("logs", str(tmp_path / "logs")))
    assert (tmp_path / "count").read_text() == "6"  # 2 epochs of 3 batches
    assert {path.name for path in run.iterdir()} - {"outcomes_last.npz"} == OURS  # nothing about ranks
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    with (tmp_path / "csv" / "mine" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(bool(row["train/loss"]) for row in rows) == 6
    assert sum(bool(row["val/loss"]) for row in rows) == 2


@pytest.fixture
def run(tmp_path):
    main(["fit", *_own(tmp_path)])
    return tmp_path / "logs" / "Line" / "version_0"


def test_its_checkpoint_is_validated_and_predicted_from(run, capsys):
    main(["validate", "--config", str(run / "config.yaml")])
    assert "val/loss" in capsys.readouterr().out
    main(["predict", "--config", str(run / "config.yaml")])
    others = {path.name for path in run.iterdir() if not path.name.startswith("events.")} - OURS
    assert others == {"hparams.yaml"}  # TensorBoard's two files, and nothing about ranks


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "--rank", "2"], "--rank: must be left out for Line, which has no ranks, got 2"),
        (["validate", "--cut", "svd"], "--cut: must be left out for Line, which has no ranks, got svd"),
        (["predict", "--submission", "out"], "--submission: must be left out for data that is not one of GLUE's"),
    ],
)
def test_what_is_about_ranks_is_refused(run, refused, arguments, words, capsys):
    capsys.readouterr()
    assert words in refused(arguments[0], "--config", run / "config.yaml", *arguments[1:])


def test_options_that_only_look_like_ours_are_the_users_own(tmp_path):
    main(["fit", *_own(tmp_path, **{"data.backbone": "wood", "model.task": "curve"})])
    config = yaml.safe_load((tmp_path / "logs" / "Line" / "version_0" / "config.yaml").read_text())
    assert config["data"]["init_args"]["backbone"] == "wood"
    assert config["model"]["init_args"]["task"] == "curve"


def test_own_data_for_a_model_of_ours(backbone, tmp_path):
    options = dict(option.removeprefix("--").split("=", 1) for option in tiny.options(backbone, tmp_path))
    main(["fit", *_options({**options, "data": "own_project.Sentences"})])
    run = tmp_path / "logs" / "SequenceClassificationModule" / "version_0"
    assert tiny.metrics_of(run)["task"] == "restaurants"
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["class_path"] == "own_project.Sentences"


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_constructor_that_fails_is_shown_as_it_is(command, tmp_path, run):
    extra = ["--config", str(run / "config.yaml")] if command == "validate" else _own(tmp_path)
    with pytest.raises(RuntimeError, match=r"^this data cannot be built$"):
        main([command, *extra, "--data", "own_project.Broken"])


def test_a_class_that_is_not_there(refused):
    assert "--data: must be a class that can be imported, got no_package.Data (No module named" in refused(
        "fit", "--data", "no_package.Data"
    )
    line = refused("fit", "--model", "GenerationModul")
    assert "got GenerationModul; did you mean GenerationModule?" in line


def test_without_a_logger_the_run_has_all_else(backbone, tmp_path, capsys):
    main(["fit", *tiny.options(backbone, tmp_path, **{"trainer.logger": "false"})])
    run = tmp_path / "logs" / "restaurants" / "version_0"
    assert {path.name for path in run.iterdir()} - {"outcomes_last.npz"} == {
        *OURS,
        "outcomes.npz",
        "rank_metrics.json",
        *PICTURES,
    }
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert "tensorboard" not in capsys.readouterr().out
    assert list((tmp_path / "logs").iterdir()) == [tmp_path / "logs" / "restaurants"]


def test_the_users_logger_gets_every_scalar_and_the_run_all_else(backbone, trained, tmp_path):
    main(["fit", *tiny.options(backbone, tmp_path, **_csv(tmp_path))])
    run = tmp_path / "logs" / "restaurants" / "version_0"
    assert {path.name for path in run.iterdir()} - {"outcomes_last.npz"} == {
        *OURS,
        "outcomes.npz",
        "rank_metrics.json",
        *PICTURES,
    }
    with (tmp_path / "csv" / "mine" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/accuracy/rank_3"]]
    content = json.loads((run / "rank_metrics.json").read_text())
    logged = [epoch["metrics"]["accuracy"]["3"] for epoch in content["epochs"]]
    assert [float(row["val/accuracy/rank_3"]) for row in rows] == pytest.approx(logged)
    expected = tiny.metrics_of(trained / "logs" / "restaurants" / "version_0")
    assert {**content, "seconds": 0} == {**expected, "seconds": 0}  # a logger changes no figure


def _options(values):
    return [f"--{key}={value}" for key, value in values.items() if key != "data" and not key.startswith("data.")] + [
        f"--data={values['data']}"
    ]
