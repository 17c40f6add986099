"""A sentence task that is validated on a part of its training rows, so that its validation rows stay unseen."""

from functools import cached_property
from typing import TYPE_CHECKING

from dylora.data.sources.glue import Source
from dylora.data.sources.holdout import Holdout, held_out_rows
from dylora.errors import InputError
from dylora.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]

_TRAIN = "train"


class HeldOutSource:
    """Another source's rows, with a share of the training rows of each class in the place of the validation rows.

    A score counts as one class. The rows keep their `index` in the training file.

    Args:
        source: Where the rows come from.
        task: The task.
        holdout: Share and seed.
    """

    def __init__(self, source: Source, task: Task, holdout: Holdout) -> None:
        self._source = source
        self._task = task
        self._holdout = holdout

    def splits(self) -> tuple[str, ...]:
        """Those of the source; of several validation splits, only the first is made."""
        others = [name for name in self._source.splits() if name not in self._task.validation_splits]
        return (*others, self._task.validation_splits[0])

    def key(self, split: str) -> str:
        """A hash that changes when the rows do."""
        if split not in (_TRAIN, *self._task.validation_splits):
            return self._source.key(split)
        return f"{self._source.key(_TRAIN)}/{split}/{self._holdout}"

    def rows(self, split: str) -> "Dataset":
        """The rows of a split.

        Raises:
            InputError: If no row is held out.
        """
        if split not in (_TRAIN, *self._task.validation_splits):
            return self._source.rows(split)
        rows, held = self._source.rows(_TRAIN), self._held
        if split != _TRAIN:
            return rows.select(held)
        return rows.select(sorted(set(range(len(rows))).difference(held)))

    @cached_property
    def _held(self) -> list[int]:
        labels = self._source.rows(_TRAIN)["labels"][:]
        held = held_out_rows([0] * len(labels) if self._task.is_regression else labels, self._holdout)
        if not held:
            allowed = f"a share that is a row or more of the {len(labels)} training rows"
            raise InputError("data.validation_share", allowed, self._holdout.share, "give a larger one")
        return held
