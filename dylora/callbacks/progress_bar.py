"""The bars of training and evaluation: one for the whole training, one for an evaluation, with the time left."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from dylora.progress import one, with_bar
from dylora.terminal import is_terminal

T = TypeVar("T")
_WRITING = "{l_bar}{bar}| [{elapsed}<{remaining}{postfix}]"


def with_trainers_bar(
    trainer: Trainer, items: Iterable[T], total: float | None, words: str, size: Callable[[T], int] = one
) -> Iterator[T]:
    """Go through items with a bar, where the trainer's own bar is this project's; see `dylora.progress.with_bar`."""
    is_wanted = isinstance(trainer.progress_bar_callback, ProgressBar)
    return with_bar(items, total, words, is_wanted, size)


class ProgressBar(TQDMProgressBar):
    """A bar over all of training and one over an evaluation; none in a pipe. Nothing of them stays.

    While texts are generated, the evaluation's bar moves with every token.
    """

    def __init__(self) -> None:
        super().__init__()
        self._handle: RemovableHandle | None = None
        self._written: tuple[Any, str] | None = None  # the bar of an evaluation that writes, and its own format

    @property
    @override
    def is_enabled(self) -> bool:
        """Whether anything is shown."""
        return super().is_enabled and is_terminal()

    @override
    def init_train_tqdm(self) -> Tqdm:
        """The bar of the whole training, which goes when it ends."""
        return _bar(self, "Training")

    @override
    def init_validation_tqdm(self) -> Tqdm:
        """The bar of an evaluation, below that of training."""
        return _bar(self, self.validation_description, position=int(self.trainer.state.fn != "validate"))

    @override
    def init_test_tqdm(self) -> Tqdm:
        """The bar of a test."""
        return _bar(self, self.test_description)

    @override
    def init_predict_tqdm(self) -> Tqdm:
        """The bar of predictions."""
        return _bar(self, self.predict_description)

    @override
    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Begin where a resumed run was."""
        super().on_train_start(trainer)
        bar = self.train_progress_bar
        bar.total = _batches_of_training(trainer)
        bar.initial = bar.n = trainer.global_step * trainer.accumulate_grad_batches
        bar.refresh()

    @override
    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Name the epoch."""
        most = trainer.max_epochs
        of = f"/{most}" if most is not None and most > 0 else ""
        self.train_progress_bar.set_description(f"Training, epoch {trainer.current_epoch + 1}{of}")

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """One batch further."""
        if self.train_progress_bar.update():  # where it was shown anew, ten times a second at most
            self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)

    @override
    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands behind the bar; not the version number, which the run's folder says already."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        return items

    @override
    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Say what is evaluated."""
        super().on_validation_batch_start(trainer, pl_module, batch, batch_idx, dataloader_idx)
        self._begin(self.val_progress_bar, self.validation_description, pl_module, batch)

    @override
    def on_validation_batch_end(self, *arguments: Any, **named: Any) -> None:
        """One batch further."""
        self._end()
        super().on_validation_batch_end(*arguments, **named)

    @override
    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Say what is evaluated."""
        super().on_test_batch_start(trainer, pl_module, batch, batch_idx, dataloader_idx)
        self._begin(self.test_progress_bar, self.test_description, pl_module, batch)

    @override
    def on_test_batch_end(self, *arguments: Any, **named: Any) -> None:
        """One batch further."""
        self._end()
        super().on_test_batch_end(*arguments, **named)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave no hook behind."""
        self._end()

    def _begin(self, bar: Any, words: str, module: LightningModule, batch: Any) -> None:  # noqa: ANN401 (tqdm)
        """Name the evaluation; where it writes texts, move with each forward, of which a token takes one."""
        most_forwards, model = getattr(module, "most_forwards", None), getattr(module, "model", None)
        writes = isinstance(batch, Mapping) and "labels" not in batch
        if bar.disable or most_forwards is None or not writes or not isinstance(model, torch.nn.Module):
            bar.set_description(f"{words}, {_ranks(module)}", refresh=False)
            return
        bar.set_description(f"{words}, writing texts, {_ranks(module)}", refresh=False)
        self._written, bar.bar_format = (bar, bar.bar_format), _WRITING
        before, most, seen = bar.n, most_forwards(batch), 0

        def move(*_: object) -> None:
            nonlocal seen
            seen += 1
            bar.update(min(before + seen / most, before + 0.99) - bar.n)

        self._handle = model.register_forward_hook(move)

    def _end(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        if self._written is not None:
            bar, bar_format = self._written
            bar.bar_format = bar_format
            self._written = None


def _bar(owner: ProgressBar, words: str, position: int = 0) -> Tqdm:
    return Tqdm(
        desc=words,
        position=position,
        disable=owner.is_disabled,
        leave=False,
        dynamic_ncols=True,
        file=sys.stdout,
        smoothing=0,
        bar_format=owner.BAR_FORMAT,
    )


def _ranks(module: LightningModule) -> str:
    """The ranks that are evaluated, in a word or two."""
    ranks = list(getattr(module, "eval_ranks", ()))
    if len(ranks) < 2:
        return f"rank {ranks[0]}" if ranks else "all"
    return f"{len(ranks)} ranks"


def _batches_of_training(trainer: Trainer) -> float | None:
    """Batches of the whole training; None where it has no known end."""
    ends = [float("inf")]
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        ends.append(trainer.num_training_batches * trainer.max_epochs)
    if trainer.max_steps >= 0:
        ends.append(trainer.max_steps * trainer.accumulate_grad_batches)
    return min(ends) if min(ends) != float("inf") else None
