"""Which epochs the two checkpoints hold."""

import shutil

import torch

from dylora.callbacks.best_and_last import BestAndLast


def _scores(module, values):
    """Make the monitored area take these values, epoch by epoch."""
    epochs = iter(values)
    module.on_validation_epoch_end = lambda: module.log("val/accuracy/aurac", next(epochs))


def test_best_is_the_first_of_the_largest_area_and_last_the_last(fit, module, tmp_path):
    _scores(module, [0.5, 0.9, 0.9, 0.1])
    fit(BestAndLast(tmp_path, "accuracy"), validate=True, max_epochs=4, enable_checkpointing=True)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["best.ckpt", "last.ckpt"]
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 12
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 24


def test_lower_is_better_keeps_the_smallest(fit, module, tmp_path):
    _scores(module, [0.5, 0.1, 0.9])
    fit(BestAndLast(tmp_path, "accuracy", False), validate=True, max_epochs=3, enable_checkpointing=True)
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 12


def test_a_resumed_run_takes_the_best_of_the_run_before_along(fit, module, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    _scores(module, [0.9, 0.1])
    fit(BestAndLast(first, "accuracy"), validate=True, enable_checkpointing=True)
    _scores(module, [0.2, 0.3])
    options = {"validate": True, "max_epochs": 4, "enable_checkpointing": True}
    fit(BestAndLast(second, "accuracy"), ckpt_path=first / "last.ckpt", **options)
    assert torch.load(second / "best.ckpt", weights_only=True)["global_step"] == 6
    assert torch.load(second / "last.ckpt", weights_only=True)["global_step"] == 24
    shutil.rmtree(first)
    _scores(module, [0.95, 0.3])
    options["max_epochs"] = 6
    fit(BestAndLast(tmp_path / "third", "accuracy"), ckpt_path=second / "last.ckpt", **options)
    assert torch.load(tmp_path / "third" / "best.ckpt", weights_only=True)["global_step"] == 30
