"""Stopping in the middle of an epoch without losing anything."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class SaveOnInterrupt(Callback):
    """On Ctrl-C or a termination signal, finish the optimizer step, save a checkpoint, and stop.

    A second signal stops at once.

    Args:
        path: The checkpoint to write; resume from it with `fit --ckpt_path`.
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
        stepped = not trainer.fit_loop._should_accumulate()
        if stepped and trainer.strategy.reduce_boolean_decision(self._received, all=False):
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
