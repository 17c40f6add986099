"""Wherever training ends or is interrupted, files and figures are those of the same weights."""

import pytest
import tiny
import torch

from dylora.cli import main

RUN = "logs/restaurants/version_0"


def _step(run, name):
    return torch.load(run / "checkpoints" / name, weights_only=True)["global_step"]


@pytest.mark.parametrize(
    ("changes", "last", "validated"),
    [
        ({"trainer.max_steps": 8}, (2, 8), [5, 8]),
        ({"trainer.max_steps": 3}, (1, 3), [3]),
        ({"trainer.max_epochs": 3, "trainer.check_val_every_n_epoch": 2}, (3, 15), [10, 15]),
    ],
)
def test_the_last_figures_are_those_of_the_last_checkpoint(backbone, tmp_path, changes, last, validated, capsys):
    main(["fit", *tiny.options(backbone, tmp_path, **changes)])
    run = tmp_path / RUN
    metrics = tiny.metrics_of(run)
    assert [epoch["step"] for epoch in metrics["epochs"]] == validated
    assert (metrics["last"]["epoch"], metrics["last"]["step"]) == last
    assert _step(run, "last.ckpt") == last[1]
    assert _step(run, "best.ckpt") == metrics["best"]["step"]
    capsys.readouterr()
    main(["validate", "--rank", "2", "--ckpt_path", str(run / "checkpoints" / "last.ckpt")])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("loss "))
    assert float(row.split()[1]) == pytest.approx(metrics["last"]["metrics"]["loss"]["2"], abs=5.1e-5)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"trainer.val_check_interval": 2}, 1),  # the signal comes in the step that a validation follows
        ({"trainer.val_check_interval": 2}, 2),
        ({"trainer.val_check_interval": 2}, 4),
        ({"trainer.check_val_every_n_epoch": 2}, 4),  # at the end of an epoch that is not validated
        ({"trainer.max_steps": 8}, 6),
    ],
)
def test_a_resumed_run_has_every_validation_and_the_same_weights(backbone, tmp_path, changes, step):
    main(["fit", *tiny.options(backbone, tmp_path / "whole", **changes)])
    signal = {"trainer.callbacks+": "record.SignalAt", "trainer.callbacks.step": step}
    with pytest.raises(SystemExit) as caught:
        main(["fit", *tiny.options(backbone, tmp_path / "parts", **changes, **signal)])
    assert caught.value.code == 130
    part, whole = tmp_path / "parts" / RUN, tmp_path / "whole" / RUN
    assert _step(part, "last.ckpt") == step + 1
    main(["fit", "--config", f"{part}/config.yaml", "--ckpt_path", f"{part}/checkpoints/last.ckpt"])
    resumed = part.with_name("version_1")
    assert tiny.metrics_of(resumed)["epochs"] == tiny.metrics_of(whole)["epochs"]
    paths = [run / "checkpoints" / "last.ckpt" for run in (resumed, whole)]
    found, expected = (torch.load(path, weights_only=True) for path in paths)
    assert found["global_step"] == expected["global_step"]
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name


def test_a_signal_in_the_last_step_finishes_the_run(backbone, tmp_path):
    changes = {"trainer.max_steps": 8, "trainer.callbacks+": "record.SignalAt", "trainer.callbacks.step": 7}
    main(["fit", *tiny.options(backbone, tmp_path, **changes)])
    assert tiny.metrics_of(tmp_path / RUN)["last"]["step"] == _step(tmp_path / RUN, "last.ckpt") == 8


@pytest.mark.parametrize("epochs", ["-1", "null"])
def test_a_training_without_an_end_is_refused_before_anything_is_written(backbone, tmp_path, refused, epochs):
    changes = {"trainer.max_epochs": epochs, "trainer.max_time": "00:00:00:20"}
    line = refused("fit", *tiny.options(backbone, tmp_path, **changes))
    assert "--trainer.max_epochs: must be a number of epochs" in line
    assert "give --trainer.max_epochs or --trainer.max_steps" in line
    assert not list((tmp_path / "logs").rglob("version_*"))


def test_a_trial_leaves_no_run(backbone, tmp_path, capsys, refused):
    main(["fit", *tiny.options(backbone, tmp_path, **{"trainer.fast_dev_run": "true"})])
    out = capsys.readouterr().out
    assert "Trial (fast_dev_run), nothing of it is kept: restaurants on" in out
    assert "epoch 1" in out
    assert "validate --config" not in out
    assert not (tmp_path / "logs").exists()
    assert "which has none; train first" in refused("validate")
