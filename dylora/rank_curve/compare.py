"""Two ways to use one adapter, compared on the same examples: at each rank, and in the mean over the ranks."""

from dataclasses import dataclass

import numpy as np

from dylora.rank_curve.intervals import Interval, bootstrap, differences, unseen
from dylora.rank_curve.kept import KeptOutcomes, beside


@dataclass(frozen=True)
class Comparison:
    """By how much the second is better than the first; above 0 is better, whatever the metric's direction.

    Attributes:
        values: The metric of the second at each rank.
        gains: At each rank the paired difference with its interval, each for itself.
        mean: Of the mean over the ranks likewise.
    """

    values: dict[int, float]
    gains: dict[int, Interval]
    mean: Interval

    @property
    def is_better(self) -> bool:
        """Whether the mean over the ranks is better by more than its interval."""
        return self.mean.low > 0


def compare(
    first: KeptOutcomes, second: KeptOutcomes, higher_is_better: bool, confidence: float = 0.95, resamples: int = 2000
) -> Comparison:
    """Compare two evaluations on the same examples, rank by rank in the order of the ranks.

    Args:
        first: Outcomes of the adapter as it is.
        second: Outcomes of the other way, at as many ranks.
        higher_is_better: The direction of the metric.
        confidence: Between 0 and 1.
        resamples: How many.

    Raises:
        InputError: If the two were not evaluated on the same examples.
    """
    result = bootstrap(beside(first, second), resamples)
    count, sign = len(first.ranks), 1 if higher_is_better else -1
    paired = differences(result, result.ranks[count:], result.ranks[:count], confidence)
    gains = dict(zip(second.ranks, (each if sign > 0 else _negative(each) for each in paired), strict=True))
    draws = sign * (result.draws[:, count:] - result.draws[:, :count])
    low, high = np.quantile(draws.mean(1), [(1 - confidence) / 2, (1 + confidence) / 2])
    margin = float(unseen(result.outcomes)[range(count), range(count, 2 * count)].mean())
    value = float(np.mean([each.value for each in gains.values()]))
    mean = Interval(value, float(low) - margin, float(high) + margin)
    return Comparison(dict(zip(second.ranks, result.values[count:].tolist(), strict=True)), gains, mean)


def _negative(interval: Interval) -> Interval:
    return Interval(-interval.value, -interval.high, -interval.low)
