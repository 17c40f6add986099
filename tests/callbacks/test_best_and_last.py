"""Which epochs the two checkpoints hold."""

import shutil

import torch
from lightning.pytorch import Callback

from dylora.callbacks.best_and_last import BestAndLast
from dylora.callbacks.final_validation import ValidateFinalWeights


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


def test_where_training_ends_inside_an_epoch_both_know_of_the_final_weights(fit, module, tmp_path):
    _scores(module, [0.5, 0.9])
    callbacks = [ValidateFinalWeights(), BestAndLast(tmp_path, "accuracy")]
    fit(*callbacks, validate=True, max_epochs=5, max_steps=9, enable_checkpointing=True)
    for name in ("best.ckpt", "last.ckpt"):
        assert torch.load(tmp_path / name, weights_only=True)["global_step"] == 9


def test_an_epoch_that_is_not_validated_is_saved_too(fit, module, tmp_path):
    steps = []

    class Look(Callback):
        def on_train_epoch_start(self, trainer, module):
            path = tmp_path / "last.ckpt"
            steps.append(torch.load(path, weights_only=True)["global_step"] if path.exists() else 0)

    callbacks = [Look(), BestAndLast(tmp_path, "accuracy")]
    fit(*callbacks, validate=True, max_epochs=4, check_val_every_n_epoch=2, enable_checkpointing=True)
    assert steps == [0, 6, 12, 18]


def test_a_trial_writes_none(fit, module, tmp_path):
    fit(BestAndLast(tmp_path, "accuracy"), validate=True, fast_dev_run=True, enable_checkpointing=True)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_no_path_inside_a_checkpoint_is_followed(fit, module, tmp_path):
    _scores(module, [0.9, 0.1])
    fit(BestAndLast(tmp_path / "first", "accuracy"), validate=True, enable_checkpointing=True)
    content = torch.load(tmp_path / "first" / "last.ckpt", weights_only=True)
    secret = tmp_path / "secret"
    secret.write_text("private")
    (state,) = (state for state in content["callbacks"].values() if "best_model_path" in state)
    state |= {"best_model_path": str(secret), "kth_best_model_path": str(secret), "last_model_path": str(secret)}
    state["best_k_models"] = {str(secret): state["best_model_score"]}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    torch.save(content, foreign / "last.ckpt")
    _scores(module, [0.2, 0.1])
    options = {"validate": True, "max_epochs": 4, "enable_checkpointing": True}
    fit(BestAndLast(tmp_path / "second", "accuracy"), ckpt_path=foreign / "last.ckpt", **options)
    assert secret.read_text() == "private"
    names = {path.name for path in (tmp_path / "second").iterdir()}
    assert names == {"best.ckpt", "last.ckpt"}
    assert torch.load(tmp_path / "second" / "best.ckpt", weights_only=True)["global_step"] == 18  # of its own epochs


def test_the_best_checkpoint_of_another_run_is_not_taken_for_its_own(fit, module, tmp_path):
    for name, score in (("first", 0.9), ("other", 0.8)):
        _scores(module, [score, 0.1])
        fit(BestAndLast(tmp_path / name, "accuracy"), validate=True, enable_checkpointing=True)
    shutil.copy(tmp_path / "other" / "best.ckpt", tmp_path / "first" / "best.ckpt")
    _scores(module, [0.2, 0.1])
    options = {"validate": True, "max_epochs": 4, "enable_checkpointing": True}
    fit(BestAndLast(tmp_path / "second", "accuracy"), ckpt_path=tmp_path / "first" / "last.ckpt", **options)
    assert torch.load(tmp_path / "second" / "best.ckpt", weights_only=True)["global_step"] == 18
