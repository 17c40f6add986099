"""Intervals of a metric at every rank by the bootstrap over examples and, where there are several, training seeds.

Own code and not `scipy.stats.bootstrap`: all ranks share their resamples here (their differences are paired), a
resample is a row of weights, so that many are one matrix product, and intervals that hold together need the resamples
of all ranks at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from dylora.errors import InputError
from dylora.rank_curve.outcomes import Outcomes
from dylora.rank_curve.seeds import common_deviations, seed_error, simultaneous

_BLOCK = 2**22  # weights held at a time, 32 MB
_CACHED = 2**16  # weights drawn at a time; they stay in a core's cache
_FEW = 10  # disagreements of two ranks
_RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval.

    Attributes:
        value: The estimate on all examples.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Bootstrap:
    """A metric at every rank, and what it would be on other examples and seeds.

    Attributes:
        ranks: The ranks, ascending.
        values: (ranks,); on all examples, the mean over the seeds.
        draws: (resamples, ranks); likewise on each resample, the same examples at every rank.
        outcomes: What it was made of.
        largest: (resamples,); of several seeds what `simultaneous` gives, else None.
        size: (ranks, ranks); likewise.
    """

    ranks: tuple[int, ...]
    values: Float[ndarray, " ranks"]
    draws: Float[ndarray, "resamples ranks"] = field(repr=False)
    outcomes: Outcomes = field(repr=False)
    largest: Float[ndarray, " resamples"] | None = field(default=None, repr=False)
    size: Float[ndarray, "ranks ranks"] | None = field(default=None, repr=False)


def bootstrap(outcomes: Outcomes, resamples: int = 2000, seed: int = 0) -> Bootstrap:
    """Resample the examples, and spread the result as the training seeds spread.

    Every resample draws as many examples as there are, with replacement, the same for all ranks and seeds. To each is
    added a draw of the error of the mean over the S seeds: a multivariate t with S - 1 degrees of freedom and the
    seeds' covariance / S, since resampling so few seeds would give intervals that are far too short. The examples'
    noise that each seed has for itself is in that covariance already, so only what the seeds have in common of it
    stays in the resamples (see `common_deviations`). What is inferred is then the mean over all seeds of the same
    training; with one seed it is this adapter alone.

    Args:
        outcomes: What each example contributed at each rank.
        resamples: How many, 100 or more; 2,000 give the ends of a 95 % interval to about 3 % of its width.
        seed: The same seed gives the same figures.

    Raises:
        InputError: If there are too few resamples.
    """
    if resamples < 100:
        raise InputError("resamples", "100 or more", resamples, "2000 are enough")
    generator = np.random.default_rng(seed)
    n = outcomes.examples
    of_seeds = outcomes.values(np.ones((1, n)))[0]  # (seeds, ranks)
    rows = max(1, _BLOCK // n)
    sizes = [min(rows, resamples - begin) for begin in range(0, resamples, rows)]
    drawn = np.concatenate([outcomes.values(resampled(n, size, generator)) for size in sizes])
    values = of_seeds.mean(0)
    if len(of_seeds) == 1:
        return Bootstrap(outcomes.ranks, values, drawn[:, 0], outcomes)
    common = common_deviations(drawn - of_seeds)
    draws = values + common + seed_error(of_seeds, resamples, generator)
    largest, size = simultaneous(common, of_seeds, generator)
    return Bootstrap(outcomes.ranks, values, draws, outcomes, largest, size)


def intervals(result: Bootstrap, confidence: float = 0.95) -> dict[int, Interval]:
    """Each rank's metric with its percentile interval, each for itself.

    Args:
        result: What `bootstrap` gave.
        confidence: Between 0 and 1.
    """
    low, high = _percentiles(result.draws, confidence)
    return _named(result.ranks, result.values, low, high)


def differences(
    result: Bootstrap, ranks: Sequence[int], references: Sequence[int], confidence: float = 0.95
) -> list[Interval]:
    """Of each pair the metric at a rank minus that at its reference, paired, each interval for itself.

    Not for a reference that was chosen by its value: use `differences_to_best`.

    Args:
        result: What `bootstrap` gave.
        ranks: Ranks of the result.
        references: As many, fixed beforehand.
        confidence: Between 0 and 1.
    """
    ours, theirs = ([result.ranks.index(rank) for rank in some] for some in (ranks, references))
    low, high = _percentiles(result.draws[:, ours] - result.draws[:, theirs], confidence)
    values, margin = result.values[ours] - result.values[theirs], unseen(result.outcomes)[ours, theirs]
    return [Interval(*map(float, row)) for row in zip(values, low - margin, high + margin, strict=True)]


def differences_to_best(result: Bootstrap, best: int, confidence: float = 0.95) -> dict[int, Interval]:
    """Each rank's metric minus that of the rank that came out best, paired, all intervals true at once.

    The best was found on the same examples, which flatters it. So the intervals are as wide as those of all pairs of
    ranks have to be to hold together (the largest standardised deviation over all pairs), whichever rank is best.

    Args:
        result: What `bootstrap` gave.
        best: The rank that came out best.
        confidence: Between 0 and 1.
    """
    place = result.ranks.index(best)
    values = result.values - result.values[place]
    if result.largest is None or result.size is None:
        largest, size = _simultaneous(result, place)
    else:
        largest, size = result.largest, result.size[place]
    width = np.quantile(largest, confidence) * size + unseen(result.outcomes)[place]
    return _named(result.ranks, values, values - width, values + width)


def _simultaneous(result: Bootstrap, place: int) -> tuple[Float[ndarray, " resamples"], Float[ndarray, " ranks"]]:
    """Of one seed, the largest standardised deviation over all pairs of ranks, and the sizes of those with one rank."""
    deviations = result.draws - result.values
    largest = np.zeros(len(deviations))
    for i in range(len(result.ranks) - 1):
        paired, _ = standardised(deviations[:, i + 1 :] - deviations[:, [i]])
        largest = np.maximum(largest, np.abs(paired).max(1))
    _, size = standardised(deviations - deviations[:, [place]])
    return largest, size


def unseen(outcomes: Outcomes) -> Float[ndarray, "ranks ranks"]:
    """What a difference of two ranks may be beyond what resampling shows; not 0 where few examples tell them apart.

    A resample cannot hold a disagreement that was never met. By the rule of three, what was met 0 times in n examples
    comes less than 3 times in n, with 95 % confidence. So below ten disagreements three more are allowed for, each of
    the size of the largest effect that one example has.
    """
    unit = outcomes.one_example()
    few = outcomes.differing() < _FEW
    np.fill_diagonal(few, False)
    return np.where(few, _RULE_OF_THREE * np.maximum(unit[:, None], unit), 0.0)


def resampled(n: int, resamples: int, generator: np.random.Generator) -> Float[ndarray, "resamples n"]:
    """How often each of n examples is drawn, with replacement, by each resample of n draws."""
    weights = np.empty((resamples, n))
    rows = max(1, _CACHED // n)
    for begin in range(0, resamples, rows):
        count = min(rows, resamples - begin)
        drawn = generator.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        weights[begin : begin + count] = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
    return weights


def standardised(deviations: ndarray) -> tuple[ndarray, ndarray]:
    """Deviations made comparable, and their size: the mean without sign, which heavy tails leave finite.

    Args:
        deviations: (resamples, *pairs); of differences from their estimates. One that never deviates stays 0.

    Returns:
        The deviations divided by their sizes, and the sizes (*pairs).
    """
    size = np.abs(deviations).mean(0)
    return deviations / np.where(size > 0, size, 1.0), size


def _percentiles(
    draws: Float[ndarray, "resamples ranks"], confidence: float
) -> tuple[Float[ndarray, " ranks"], Float[ndarray, " ranks"]]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def _named(ranks: tuple[int, ...], values: ndarray, low: ndarray, high: ndarray) -> dict[int, Interval]:
    rows = zip(ranks, values.tolist(), low.tolist(), high.tolist(), strict=True)
    return {rank: Interval(*row) for rank, *row in rows}
