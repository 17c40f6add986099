"""The examples of an evaluation, counted one by one while it runs: what each contributes at each rank."""

from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from dylora.modules.all_processes import from_all_processes
from dylora.rank_curve.kept import KeptOutcomes, Kind

Batch = dict[str, Tensor]


class OutcomeKeeper:
    """Keeps each example's outcome at each rank until the evaluation ends.

    What is kept stays on the device until then, so that nothing waits for it: a number an example and rank, three for
    the texts of a language model.

    Args:
        kind: What an outcome is; see `dylora.rank_curve.kept`.
        metric: The metric that ranks are compared by.
    """

    def __init__(self, kind: Kind, metric: str) -> None:
        self.kind = kind
        self.metric = metric
        self._outcomes: dict[int, list[Tensor]] = {}
        self._examples: list[tuple[int, Tensor | None, Tensor | None]] = []
        self._first: int | None = None

    def add(self, rank: int, outputs: Tensor, batch: Batch, split: int) -> None:
        """Keep what a batch gives at one rank.

        Args:
            rank: The rank; every batch comes at the same ranks in the same order.
            outputs: Logits (rows, classes), scores (rows,) or (rows, 3) of texts.
            batch: The batch, with `index` and, for classes and scores, `labels`.
            split: Number of its loader.
        """
        self._first = rank if self._first is None else self._first
        if rank == self._first:
            labels = batch["labels"].detach() if self.kind != "tokens" else None
            index = batch["index"].detach() if "index" in batch else None
            self._examples.append((split, index, labels))
        self._outcomes.setdefault(rank, []).append(_outcome(self.kind, outputs.detach()))

    def finish(self) -> KeptOutcomes | None:
        """The outcomes of all processes in the order of the data, each example once; None if there was none.

        None too for a metric that can only be computed again for two classes, where there are more.

        Rows without an `index` stand in the order in which they were counted. Counting starts anew. All processes of a
        distributed run have to call it.
        """
        shares = [share for share in from_all_processes([self._share()]) if share is not None]
        self._outcomes, self._examples, self._first = {}, [], None
        if not shares:
            return None
        if self.metric in _OF_TWO_CLASSES and any(_has_more(share) for share in shares):
            return None
        split, index, expected = (np.concatenate([share[name] for share in shares]) for name in _OF_EXAMPLES)
        ranks = sorted(shares[0]["values"])
        values = np.stack([np.concatenate([share["values"][rank] for share in shares]) for rank in ranks])
        if (index < 0).any():
            index = np.arange(len(index))
        keys, first = np.unique(np.stack([split, index]), axis=1, return_index=True)
        split, index = keys.astype(np.int32)
        expected = expected[first] if self.kind != "tokens" else expected
        return KeptOutcomes(self.kind, self.metric, tuple(ranks), values[:, first], expected, split, index)

    def _share(self) -> dict[str, Any] | None:
        """This process's examples as arrays; None if it had none."""
        if not self._examples:
            return None
        sizes = [len(rows) for rows in self._outcomes[self._first or 0]]
        splits = [np.full(size, split) for size, (split, *_) in zip(sizes, self._examples, strict=True)]
        numbers = [
            np.full(size, -1) if index is None else index.cpu().numpy()
            for size, (_, index, _) in zip(sizes, self._examples, strict=True)
        ]
        labels = [_compact(labels) for *_, labels in self._examples if labels is not None]
        return {
            "split": np.concatenate(splits),
            "index": np.concatenate(numbers),
            "expected": np.concatenate(labels) if labels else np.zeros(0, dtype=np.float32),
            "values": {rank: _compact(torch.cat(rows)) for rank, rows in self._outcomes.items()},
        }


_OF_TWO_CLASSES = ("f1",)
_OF_EXAMPLES = ("split", "index", "expected")


def _outcome(kind: Kind, outputs: Tensor) -> Tensor:
    if kind == "classes":
        return outputs.argmax(-1)
    return outputs.reshape(-1) if kind == "scores" else outputs


def _has_more(share: dict[str, Any]) -> bool:
    return max(int(rows.max()) for rows in (share["expected"], *share["values"].values())) > 1


def _compact(values: Tensor) -> ndarray:
    """Class ids as int32, which compresses to their few bits; numbers as fp32."""
    array: ndarray = values.cpu().numpy() if not values.is_floating_point() else values.float().cpu().numpy()
    return array.astype(np.int32) if not values.is_floating_point() else array
