"""The rank curve in a few numbers: mean, area, the best rank and the smallest that is nearly as good."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from dylora.errors import InputError


@dataclass(frozen=True)
class RankSummary:
    """A rank-metric curve, summarised.

    Attributes:
        mean: Mean over the ranks.
        aurac: Area under the curve; see `aurac`.
        best_rank: The rank of the best value, the smallest of several; None where no value is a number.
        best: That value.
        chosen_rank: The smallest rank within the tolerance of the best value; None where no value is a number.
    """

    mean: float
    aurac: float
    best_rank: int | None
    best: float
    chosen_rank: int | None


def aurac(values: Mapping[int, float]) -> float:
    """Area under the rank-metric curve: trapezoids over the ranks, divided by the range.

    A single rank gives its own value.

    >>> aurac({1: 0.5, 2: 0.7, 4: 0.9})  # (0.6 * 1 + 0.8 * 2) / 3
    0.7333333333333334
    """
    ranks = sorted(values)
    if len(ranks) == 1:
        return values[ranks[0]]
    pairs = pairwise(ranks)
    area = sum((values[low] + values[high]) / 2 * (high - low) for low, high in pairs)
    return area / (ranks[-1] - ranks[0])


def summarise(values: Mapping[int, float], tolerance: float = 0.01, higher_is_better: bool = True) -> RankSummary:
    """Summarise a rank-metric curve.

    Args:
        values: The metric at each rank; a value that is not a number counts as the worst and is never chosen.
        tolerance: How far, relative to the best value, the chosen rank may lie behind it; 0.01 is 1 %.
        higher_is_better: The direction of the metric.

    Raises:
        InputError: If the tolerance is negative or not a number.

    >>> summarise({1: 0.80, 2: 0.894, 3: 0.90}).chosen_rank
    2
    """
    if not 0 <= tolerance < math.inf:
        raise InputError("tolerance", "0 or more", tolerance, "0.01 allows 1 % relative")
    sign = 1 if higher_is_better else -1
    mean = sum(values.values()) / len(values)
    merit = {rank: sign * value for rank, value in sorted(values.items()) if not math.isnan(value)}
    if not merit:
        return RankSummary(mean, aurac(values), None, math.nan, None)
    best_rank = max(merit, key=merit.__getitem__)
    enough = merit[best_rank] - tolerance * abs(merit[best_rank])
    chosen = next((rank for rank, value in merit.items() if value >= enough), best_rank)
    return RankSummary(mean, aurac(values), best_rank, values[best_rank], chosen)
