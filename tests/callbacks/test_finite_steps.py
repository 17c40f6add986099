"""Steps without a finite loss and gradient change nothing, are counted, and end a training that has no others."""

import copy
import math

import pytest
import tiny
import torch
from lightning.pytorch.plugins import MixedPrecision

from dylora.adapters.parameters import adapter_state
from dylora.callbacks.finite_steps import FiniteSteps
from dylora.callbacks.ordered_decay import OrderedDecay
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli import main
from dylora.errors import DivergedError
from dylora.modules.classification import SequenceClassificationModule


def poison(module, steps, value=math.nan, where="loss"):
    """Have some training steps give a loss, or the gradient of a parameter, that is not finite."""
    original = module.training_step

    def step(batch, batch_idx):
        loss = original(batch, batch_idx)
        if module.global_step not in steps:
            return loss
        if where == "loss":
            return loss * value
        trained = next(p for p in module.model.parameters() if p.requires_grad)
        handle = trained.register_hook(lambda grad: (handle.remove(), torch.full_like(grad, value))[1])
        return loss

    module.training_step = step


class Watch(FiniteSteps):
    """Keeps the trained weights and the moments at the end of each batch."""

    def __init__(self, *args):
        super().__init__(*args)
        self.weights, self.moments = [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.weights.append({name: tensor.clone() for name, tensor in adapter_state(pl_module).items()})
        self.moments.append(copy.deepcopy(trainer.optimizers[0].state_dict()["state"]))


@pytest.mark.parametrize("optimizer", ["adamw", "row_exact_adamw"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_skipped_step_changes_no_weight_and_no_moment(fit, make_module, tmp_path, value, where, optimizer):
    module, guard = make_module(optimizer=optimizer), Watch(tmp_path)
    poison(module, {3, 4}, value, where)
    fit(guard, model=module, max_epochs=1)
    assert guard.skipped == 2
    for step in (3, 4):
        torch.testing.assert_close(guard.weights[step], guard.weights[2], rtol=0, atol=0)
        torch.testing.assert_close(guard.moments[step], guard.moments[2], rtol=0, atol=0)
    assert any((guard.weights[5][name] != tensor).any() for name, tensor in guard.weights[4].items())
    assert all(tensor.isfinite().all() for tensor in guard.weights[5].values())
    assert guard.words() == "Steps skipped: 2 with a loss or gradient that was not finite"


def test_a_skipped_step_does_not_decay_either(fit, make_module, tmp_path):
    module, guard = make_module(), Watch(tmp_path)
    poison(module, {3})
    fit(guard, RankSamplingCallback(ordered_decay=OrderedDecay(decoupled=0.3)), model=module, max_epochs=1)
    torch.testing.assert_close(guard.weights[3], guard.weights[2], rtol=0, atol=0)


def test_a_training_without_such_steps_is_as_without_the_guard(fit, make_module, tmp_path):
    runs = []
    for callbacks in ([], [FiniteSteps(tmp_path)]):
        module = make_module()
        fit(*callbacks, model=module)
        runs.append(adapter_state(module))
    torch.testing.assert_close(*runs, rtol=0, atol=0)


def test_one_bad_micro_batch_skips_its_whole_step(fit, make_module, tmp_path):
    module, guard = make_module(), FiniteSteps(tmp_path)
    poison(module, {1})
    fit(guard, model=module, max_epochs=1, accumulate_grad_batches=2)
    assert guard.skipped == 1


def test_so_many_in_a_row_end_the_training_and_name_the_last_good_checkpoint(fit, make_module, tmp_path):
    module, guard = make_module(), FiniteSteps(tmp_path, most=4)
    fit(guard, model=module, max_epochs=1).save_checkpoint(tmp_path / "good.ckpt")
    poison(module, range(8, 99))
    with pytest.raises(DivergedError) as caught:
        fit(guard, model=module)
    assert "got a loss that is not in 4 steps in a row (step 11); lower --model.learning_rate" in str(caught.value)
    assert str(caught.value).endswith(f"the last good checkpoint is {tmp_path / 'good.ckpt'}")


def test_others_between_them_do_not(fit, make_module, tmp_path):
    module, guard = make_module(), FiniteSteps(tmp_path, most=2)
    poison(module, {1, 3, 5, 7, 9})
    fit(guard, model=module)
    assert guard.skipped == 5


def test_a_checkpoint_after_skipped_steps_or_of_other_weights_is_not_named(fit, make_module, tmp_path):
    module, guard = make_module(), FiniteSteps(tmp_path, most=3)
    poison(module, {4, 5})
    trainer = fit(guard, model=module, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "behind.ckpt")
    assert guard._last_good() is None
    guard._in_a_row = 0
    trainer.save_checkpoint(tmp_path / "well.ckpt")
    assert guard._last_good() == tmp_path / "well.ckpt"
    next(p for p in module.model.parameters() if p.requires_grad).data.fill_(math.inf)
    trainer.save_checkpoint(tmp_path / "well.ckpt")
    assert guard._last_good() is None


def test_the_loss_scalers_own_skips_are_counted_apart(fit, make_module, tmp_path):
    module, guard = make_module(), Watch(tmp_path)
    poison(module, {2, 3}, math.inf, "gradient")
    half = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    fit(guard, model=module, max_epochs=1, plugins=[half])
    assert (guard.skipped, guard.scaler_skipped) == (0, 2)
    torch.testing.assert_close(guard.weights[3], guard.weights[1], rtol=0, atol=0)
    assert guard.words() == "Steps skipped: 2 by the loss scaler"


def test_the_counts_survive_a_resume(tmp_path):
    before, after = FiniteSteps(tmp_path), FiniteSteps(tmp_path)
    before.skipped, before.scaler_skipped = 3, 2
    after.load_state_dict(before.state_dict())
    assert (after.skipped, after.scaler_skipped) == (3, 2)


def test_a_fit_that_diverges_ends_with_one_line_and_no_chosen_rank(backbone, tmp_path, capsys, monkeypatch):
    original = SequenceClassificationModule.outputs_of
    monkeypatch.setattr(
        SequenceClassificationModule, "outputs_of", lambda self, batch: original(self, batch) * math.nan
    )
    with pytest.raises(SystemExit) as caught:
        main(["fit", *tiny.options(backbone, tmp_path)])
    out, err = capsys.readouterr()
    assert caught.value.code == 1
    line = [line for line in err.splitlines() if "dylora: error:" in line]
    assert len(line) == 1
    assert "training: must have a finite loss and gradient, got" in line[0]
    assert "Chosen rank" not in out
    epoch = next(line for line in out.splitlines() if line.startswith("epoch 1"))
    assert epoch.split()[2:] == ["nan"] * 5 + ["-", "-"]
