"""Stopping in the middle of an epoch without losing anything."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class SaveOnInterrupt(Callback):
    """On Ctrl-C or a termination signal, finish the optimizer step, save a checkpoint, and stop.

    After the last step of an epoch, the epoch is validated and saved first, as it always is: a run that is resumed
    would not go back to it. A second signal stops at once.

    Args:
        path: The checkpoint to write, the one that the end of an epoch writes too; `fit --ckpt_path` resumes from it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received = False
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for the signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:  # noqa: ANN401
        """Save and stop, once the optimizer step is done."""
        in_between = trainer.fit_loop._should_accumulate() or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if not in_between and self._is_received(trainer):
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop behind an epoch that was saved at its end."""
        if self._is_received(trainer):
            raise KeyboardInterrupt

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._restore()

    def _is_received(self, trainer: Trainer) -> bool:
        """Whether any process was signalled."""
        return trainer.strategy.reduce_boolean_decision(self._received, all=False)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
