"""Training steps count only while losses and gradients are numbers."""

import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from dylora.errors import DivergedError, InputError
from dylora.modules.base import EveryRankModule
from dylora.runs.checkpoints import read_checkpoint

_MOST_IN_A_ROW = 10
_MOST_OF_THE_SCALER = 40
"""In a row; its scale begins at 65536 and is halved each time, so that it is far below 1 by then."""


class FiniteSteps(Callback):
    """Skip an optimizer step whose loss or gradient is not finite, and end a training that has no other steps left.

    A skipped step changes no weight and no moment; the learning rate goes on. A step that only overflows under a
    gradient scaler (fp16) is the scaler's to skip, and is counted apart. All processes skip the same steps.

    Attributes:
        skipped: Number of skipped steps, over all resumes.
        scaler_skipped: Number of steps that the gradient scaler skipped.

    Args:
        folder: Where the run's checkpoints lie; the last good one is named when the training is ended.
        most: So many skipped steps in a row end the training.
    """

    def __init__(self, folder: Path, most: int = _MOST_IN_A_ROW) -> None:
        self.folder = folder
        self.most = most
        self.skipped = self.scaler_skipped = 0
        self._in_a_row = self._scaler_in_a_row = 0
        self._loss: Tensor | None = None  # 0 while all losses of the step are finite

    @override
    def state_dict(self) -> dict[str, Any]:
        """The counts; a checkpoint with skipped steps just before it is not a good one."""
        return {"skipped": self.skipped, "scaler_skipped": self.scaler_skipped, "in_a_row": self._in_a_row}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the counts back."""
        self.skipped, self.scaler_skipped = state_dict["skipped"], state_dict["scaler_skipped"]

    @override
    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Note whether the loss is finite, without waiting for it."""
        part = loss.detach().float().sum() * 0  # not a number for any loss that is not finite
        self._loss = part if self._loss is None else self._loss + part

    @override
    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Take the gradients away if the step is not to be done."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        loss, self._loss = self._loss, None
        good_loss = loss is None or bool(loss == 0)
        good_gradient = math.isfinite(float(torch.nn.utils.get_total_norm([p.grad for p in parameters])))
        if trainer.world_size > 1:
            good_loss = trainer.strategy.reduce_boolean_decision(good_loss, all=True)
            good_gradient = trainer.strategy.reduce_boolean_decision(good_gradient, all=True)
        if good_loss and not good_gradient and getattr(trainer.precision_plugin, "scaler", None) is not None:
            self._count_scaler(trainer)
        elif good_loss and good_gradient:
            self._in_a_row = self._scaler_in_a_row = 0
        else:
            for parameter in parameters:
                parameter.grad = None
            self._count(trainer, "gradient" if good_loss else "loss")
        pl_module.log("train/skipped_steps", float(self.skipped))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse to call a training finished whose last validation gave no number."""
        values = pl_module.results.get(pl_module.monitor) if isinstance(pl_module, EveryRankModule) else None
        if values and all(math.isnan(value) for value in values.values()):
            raise self._diverged(trainer, "one that is not a number at any rank in the last validation")

    def words(self) -> str:
        """How many steps were skipped; empty for none."""
        parts = [f"{self.skipped} with a loss or gradient that was not finite"] if self.skipped else []
        parts += [f"{self.scaler_skipped} by the loss scaler"] if self.scaler_skipped else []
        return f"Steps skipped: {' and '.join(parts)}" if parts else ""

    def _count(self, trainer: Trainer, what: str) -> None:
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row >= self.most:
            raise self._diverged(trainer, f"a {what} that is not in {self._in_a_row} steps in a row")

    def _count_scaler(self, trainer: Trainer) -> None:
        self.scaler_skipped += 1
        self._scaler_in_a_row += 1
        if self._scaler_in_a_row >= _MOST_OF_THE_SCALER:
            given = f"overflows in {self._scaler_in_a_row} steps in a row, whatever the scale"
            raise self._diverged(trainer, given)

    def _diverged(self, trainer: Trainer, given: str) -> DivergedError:
        good = self._last_good()
        kept = f"the last good checkpoint is {good}" if good else "no checkpoint before it is good"
        step = f"(step {trainer.global_step})"
        advice = "lower --model.learning_rate, or limit gradients with --trainer.gradient_clip_val"
        return DivergedError(f"training: must have a finite loss and gradient, got {given} {step}; {advice}; {kept}")

    def _last_good(self) -> Path | None:
        """The newest checkpoint of finite weights with a done step before it."""
        found = sorted(self.folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return next((path for path in found if self._is_good(path)), None)

    def _is_good(self, path: Path) -> bool:
        try:
            content = read_checkpoint(path)
        except InputError:
            return False
        state = content.get("callbacks", {}).get(self.state_key, {})
        weights = content.get("state_dict", {}).values()
        return not state.get("in_a_row") and all(bool(tensor.isfinite().all()) for tensor in weights)
