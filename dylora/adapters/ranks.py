"""Which ranks there are, how likely each is, and which one a training step uses."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from dylora.errors import InputError

LARGEST_RANK = 10_000
"""More than any layer has use for, and a bound for what a slip of the keyboard allocates."""

DistributionName = Literal["uniform", "geometric", "weights", "max_rank"]


@dataclass(frozen=True)
class RankRange:
    """The ranks an adapter is trained at: `min_rank`, `min_rank + rank_step`, …, `max_rank`, all 1-based.

    Raises:
        InputError: If a bound is below 1 or above 10000, the bounds are swapped, or the step does not lead to
            `max_rank`.

    >>> list(RankRange(2, 8, 3))
    [2, 5, 8]
    """

    min_rank: int = 1
    max_rank: int = 8
    rank_step: int = 1

    def __post_init__(self) -> None:
        if self.min_rank < 1:
            raise InputError("min_rank", "at least 1", self.min_rank, "ranks start at 1")
        if self.max_rank < 1:
            raise InputError("max_rank", "at least 1", self.max_rank, "ranks start at 1")
        if self.max_rank > LARGEST_RANK:
            raise InputError("max_rank", f"at most {LARGEST_RANK}", self.max_rank, "8 or 16 are usual")
        if self.max_rank < self.min_rank:
            given = f"min_rank {self.min_rank} > max_rank {self.max_rank}"
            raise InputError("min_rank", "at most max_rank", given, "lower min_rank or raise max_rank")
        if self.rank_step < 1:
            raise InputError("rank_step", "at least 1", self.rank_step, "leave it at 1 to train every rank")
        if (self.max_rank - self.min_rank) % self.rank_step:
            span = self.max_rank - self.min_rank
            fix = f"choose a divisor of {span}, so that the range ends at max_rank {self.max_rank}"
            raise InputError("rank_step", f"a divisor of max_rank - min_rank = {span}", self.rank_step, fix)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.min_rank, self.max_rank + 1, self.rank_step))

    def __len__(self) -> int:
        return (self.max_rank - self.min_rank) // self.rank_step + 1

    def __contains__(self, rank: object) -> bool:
        return rank in range(self.min_rank, self.max_rank + 1, self.rank_step)


@dataclass(frozen=True)
class RankDistribution:
    """The law `p_B` that a step's rank is drawn from.

    Attributes:
        name: `uniform` over the ranks (the paper's default); `geometric`, P(b) proportional to (1 - p)^(b - 1) and
            renormalised over the range; `weights`, any non-negative numbers; or `max_rank`, the largest rank at every
            step, which is plain LoRA.
        p: Parameter of the geometric law, inside (0, 1); the paper uses 0.15 (Table 4).
        weights: One non-negative number for each rank of the range, for `weights` only; normalised to sum to 1.

    Raises:
        InputError: If `p` or `weights` are not of that form.
    """

    name: DistributionName = "uniform"
    p: float = 0.15
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.name not in get_args(DistributionName):
            allowed = "one of " + ", ".join(get_args(DistributionName))
            raise InputError("distribution", allowed, repr(self.name), "choose one of them")
        if not 0 < self.p < 1:
            raise InputError("p", "inside (0, 1)", self.p, "the paper uses 0.15")
        if (self.name == "weights") != (self.weights is not None):
            raise InputError(
                "weights",
                "given exactly when the distribution is 'weights'",
                f"distribution {self.name!r} with weights {self.weights}",
                "set distribution: weights and one weight a rank, or leave weights out",
            )
        for weight in self.weights or ():
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError("weights", "non-negative numbers", weight, "use 0 for a rank that is never drawn")
        if self.weights is not None and not sum(self.weights) > 0:
            raise InputError("weights", "positive for one rank at least", list(self.weights), "raise one of them")

    def probabilities(self, ranks: RankRange) -> tuple[float, ...]:
        """Probability of each rank of the range, in its order, summing to 1.

        Raises:
            InputError: If there are not as many weights as ranks.

        >>> RankDistribution("weights", weights=(1, 3)).probabilities(RankRange(1, 2))
        (0.25, 0.75)
        """
        weights: Sequence[float]
        if self.weights is not None:
            weights = self.weights
            if len(weights) != len(ranks):
                allowed = f"{len(ranks)} numbers, one for each of the ranks {', '.join(map(str, ranks))}"
                raise InputError("weights", allowed, f"{len(weights)} numbers", "give one weight a rank")
        elif self.name == "geometric":
            weights = [(1 - self.p) ** (rank - 1) for rank in ranks]
        elif self.name == "max_rank":
            weights = [float(rank == ranks.max_rank) for rank in ranks]
        else:
            weights = [1.0] * len(ranks)
        total = sum(weights)
        return tuple(weight / total for weight in weights)


def rank_at(ranks: RankRange, probabilities: Sequence[float], seed: int, step: int) -> int:
    """The rank of one optimizer step: a pure function of its arguments.

    A counter-based generator (Philox) is read at position `step`, so every process of a distributed run, and a run
    that was resumed, finds the same rank without any state.

    Args:
        ranks: The ranks to draw from.
        probabilities: One number a rank, summing to 1.
        seed: The run's seed, 0 or larger.
        step: Number of the optimizer step, from 0.

    >>> [rank_at(RankRange(1, 8), [1 / 8] * 8, seed=10, step=step) for step in range(8)]
    [7, 8, 2, 8, 7, 3, 3, 8]
    """
    draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, step, 0, 0])).random()
    index = int(np.searchsorted(np.cumsum(probabilities), draw, side="right"))
    last = max(i for i, p in enumerate(probabilities) if p > 0)  # rounding must not lead past the last possible one
    return tuple(ranks)[min(index, last)]
