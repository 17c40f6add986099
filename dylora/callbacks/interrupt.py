"""Stopping in the middle of an epoch without losing anything.

Lightning does not say in public what it does after a batch. The private names used here (`_should_accumulate`,
`_should_check_val_fx`, `_data_fetcher`) are those of Lightning 2.6, to which the package is bound.
"""

import signal
from pathlib import Path
from types import FrameType
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from dylora.callbacks.final_validation import reaches_max_steps

_STEPS_BETWEEN = 8
"""Several processes ask one another at every eighth step alone: each time all of them wait for the slowest device."""


class SaveOnInterrupt(Callback):
    """On Ctrl-C or a termination signal, finish the optimizer step, save a checkpoint, and stop.

    What follows the step comes first, and is saved: a validation that is due, and the end of an epoch. A run that is
    resumed would not go back to it. Several processes stop at a step whose number is a multiple of
    eight. A second signal stops at once.

    Args:
        path: The checkpoint to write, the one that the end of an epoch writes too; `fit --ckpt_path` resumes from it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received = False
        self._awaits_validation = False
        self._before: dict[signal.Signals, Any] = {}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for the signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save and stop, once the optimizer step is done."""
        loop = trainer.fit_loop.epoch_loop
        in_between = loop._should_accumulate() or loop.batch_progress.is_last_batch or reaches_max_steps(trainer)
        asks = trainer.world_size == 1 or trainer.global_step % _STEPS_BETWEEN == 0
        if in_between or not asks or not self._is_received(trainer):
            return
        self._awaits_validation = loop._should_check_val_fx(cast(Any, trainer.fit_loop._data_fetcher))
        if not self._awaits_validation:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop behind a validation that was saved at its end."""
        if self._awaits_validation:
            raise KeyboardInterrupt

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop behind an epoch that was saved at its end."""
        if self._is_received(trainer):
            raise KeyboardInterrupt

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._restore()

    @override
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
