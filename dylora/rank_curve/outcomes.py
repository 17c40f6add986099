"""What each example contributed to a metric at each rank, so that the metric can be computed again on any resample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from dylora.errors import InputError

_CACHED = 2**17  # numbers of one block of weighted ranks; it stays in a core's cache

Weights = Float[ndarray, "resamples examples"]
Values = Float[ndarray, "resamples seeds ranks"]


class Outcomes(Protocol):
    """A metric of several ranks (and training seeds) on the same examples, for any weights of the examples."""

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks, ascending."""

    @property
    def examples(self) -> int:
        """Number of examples."""

    def values(self, weights: Weights) -> Values:
        """The metric where example i counts `weights[:, i]` times (whole numbers, as resampling gives them)."""

    def differing(self) -> Int[ndarray, "ranks ranks"]:
        """On how many examples the outcomes of two ranks differ, in any seed."""

    def one_example(self) -> Float[ndarray, " ranks"]:
        """How far one example can move the metric at each rank; 0 if that is unknown or of no account."""


@dataclass(frozen=True)
class Sums:
    """A metric that is a function of sums over the examples: accuracy, F1, Pearson, perplexity, BLEU and most others.

    Attributes:
        ranks: The ranks, ascending.
        statistics: (examples, seeds, ranks, k); what each example adds to the k sums.
        metric: From sums (..., k) to values (...).
    """

    ranks: tuple[int, ...]
    statistics: Float[ndarray, "examples seeds ranks k"] = field(repr=False)
    metric: Callable[[Float[ndarray, "*any k"]], Float[ndarray, "*any"]]

    def __post_init__(self) -> None:
        _check(self.ranks, self.statistics.shape[:3])

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(self.statistics)

    def values(self, weights: Weights) -> Values:
        """One matrix product for all resamples, ranks and seeds."""
        flat = self.statistics.reshape(self.examples, -1)
        return np.asarray(self.metric((weights @ flat).reshape(-1, *self.statistics.shape[1:])))

    def differing(self) -> Int[ndarray, "ranks ranks"]:
        """Pairs of ranks, one after the other: a matrix of all at once would need memory for each pair."""
        count = len(self.ranks)
        different = np.zeros((count, count), dtype=np.int64)
        for i in range(count):
            unequal = self.statistics[:, :, i : i + 1] != self.statistics  # (examples, seeds, ranks, k)
            different[i] = unequal.any((1, 3)).sum(0)
        return different

    def one_example(self) -> Float[ndarray, " ranks"]:
        """The range of the metric when one example after the other is left out.

        Where all examples are alike, the metric's share of one example.
        """
        total = self.statistics.sum(0)
        left_out = self.metric(total - self.statistics).mean(1)  # (examples, ranks)
        moved = left_out.max(0) - left_out.min(0)
        return np.asarray(np.where(moved > 0, moved, np.abs(self.metric(total).mean(0)) / self.examples))


@dataclass(frozen=True)
class Spearman:
    """Spearman's correlation: ranks (ties share their mean) are not sums, so each resample ranks its examples again.

    Attributes:
        ranks: The ranks, ascending.
        predicted: (examples, seeds, ranks).
        expected: (examples,).
    """

    ranks: tuple[int, ...]
    predicted: Float[ndarray, "examples seeds ranks"] = field(repr=False)
    expected: Float[ndarray, " examples"] = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.ranks, self.predicted.shape, len(self.expected))

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(self.expected)

    def values(self, weights: Weights) -> Values:
        """The order of the examples is found once; a resample only adds up weights along it."""
        seeds = self.predicted.shape[1]
        values = np.empty((len(weights), seeds, len(self.ranks)))
        columns = [(s, r, _Ranker(self.predicted[:, s, r])) for s in range(seeds) for r in range(len(self.ranks))]
        expected, rows = _Ranker(self.expected), max(1, _CACHED // self.examples)
        for begin in range(0, len(weights), rows):
            block = weights[begin : begin + rows].astype(np.float32)  # exact: counts of fewer than 2^24 examples
            target = expected(block)
            for seed, rank, ranker in columns:
                values[begin : begin + rows, seed, rank] = _correlation(ranker(block), target, block)
        return values

    def differing(self) -> Int[ndarray, "ranks ranks"]:
        """As for sums, of the predictions."""
        unequal = self.predicted[:, :, :, None] != self.predicted[:, :, None, :]
        return np.asarray(unequal.any(1).sum(0))

    def one_example(self) -> Float[ndarray, " ranks"]:
        """Of no account: scores rarely agree."""
        return np.zeros(len(self.ranks))


class _Ranker:
    """Ranks of the examples of a resample, by the order of the values in the whole sample."""

    def __init__(self, values: Float[ndarray, " examples"]) -> None:
        distinct, self.group = np.unique(values, return_inverse=True)
        self.order = np.argsort(values, kind="stable")
        self.ends = np.searchsorted(values[self.order], distinct, side="right") - 1

    def __call__(self, weights: Float[ndarray, "resamples examples"]) -> Float[ndarray, "resamples examples"]:
        """The mean place of each example and its copies and ties, counted from 1."""
        upto = np.cumsum(weights[:, self.order], axis=1)[:, self.ends]
        middle = upto - (np.diff(upto, axis=1, prepend=0) - 1) / 2
        return np.asarray(middle[:, self.group])


def _correlation(
    x: Float[ndarray, "resamples examples"],
    y: Float[ndarray, "resamples examples"],
    weights: Float[ndarray, "resamples examples"],
) -> Float[ndarray, " resamples"]:
    """Pearson's correlation of ranks, whose mean is known."""
    middle = (weights.sum(1, keepdims=True) + 1) / 2
    x, y = x - middle, y - middle
    xy, xx, yy = (np.einsum("ij,ij,ij->i", weights, a, b, dtype=np.float64) for a, b in ((x, y), (x, x), (y, y)))
    product = np.sqrt(xx * yy)
    return np.asarray(np.divide(xy, product, out=np.zeros_like(xy), where=product > 0))


def _check(ranks: Sequence[int], shape: Sequence[int], examples: int | None = None) -> None:
    if list(ranks) != sorted(set(ranks)) or len(ranks) != shape[2]:
        raise InputError("ranks", f"{shape[2]} ascending ranks", list(ranks), "give one for each column")
    if shape[0] < 2 or examples not in (None, shape[0]):
        given = f"{shape[0]} predictions for {examples} targets" if examples is not None else f"{shape[0]}"
        raise InputError("outcomes", "of 2 examples or more, each with a target", given, "evaluate the rank again")
