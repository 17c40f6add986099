"""The smallest rank that is as good as the best, with evidence: chosen only where the examples can tell."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from dylora.errors import InputError
from dylora.rank_curve.intervals import Bootstrap, Interval, differences_to_best, intervals, standardised, unseen

Verdict = Literal["within", "worse", "unclear"]

Pairs = Float[ndarray, "rivals ranks"]


@dataclass(frozen=True)
class RankEvidence:
    """What the examples say of one rank.

    Attributes:
        metric: The metric with its interval, for itself.
        difference: The metric minus that of the best rank, paired; the intervals of all ranks hold together.
        verdict: `within` the tolerance of the best rank, `worse` than that, or `unclear`.
    """

    metric: Interval
    difference: Interval
    verdict: Verdict


@dataclass(frozen=True)
class RankChoice:
    """A rank and what speaks for it.

    Attributes:
        rank: The rank to use.
        certain: Whether its loss is shown to be within the tolerance; otherwise the data cannot tell.
        best_rank: The rank of the best value, the smallest of several.
        evidence: Of each rank.
        statement: One or two sentences for the user.
    """

    rank: int
    certain: bool
    best_rank: int
    evidence: dict[int, RankEvidence]
    statement: str


def choose(
    result: Bootstrap, tolerance: float = 0.01, higher_is_better: bool = True, confidence: float = 0.95
) -> RankChoice:
    """Choose the smallest rank whose loss against the best is below the tolerance, with confidence.

    Rank b is within the tolerance if `m_c - m_b < tolerance * |m_c|` for every rank c (the sign turned for a metric
    that is better when lower). It is taken to be so if the upper limit of the left side lies below the right for every
    c. Nothing is gained by picking the best rank on the same examples, since b has to hold against all. The limits
    hold for all ranks b at once (largest standardised deviation over the ranks not yet accepted, as in multiple
    comparisons with the best and Romano and Wolf's step-down), so a rank that is worse by more than the tolerance is
    taken with a probability of at most `1 - confidence`. Where few examples tell two ranks apart, `unseen` is added.

    If no rank is shown to be within, the data cannot tell, and the rank is the largest that is not shown to be worse.

    Args:
        result: What `bootstrap` gave.
        tolerance: How far, relative to the best value, the rank may lie behind it; 0.01 is 1 %.
        higher_is_better: The direction of the metric.
        confidence: Between 0 and 1.

    Raises:
        InputError: If the tolerance is negative, the confidence not between 0 and 1, or a value not finite.
    """
    _check(result, tolerance, confidence)
    sign = 1 if higher_is_better else -1
    ranks = result.ranks
    loss = _loss(result.values[None], tolerance, sign)[0]  # (rivals, ranks)
    deviations = _loss(result.draws, tolerance, sign) - loss  # (resamples, rivals, ranks)
    margin = unseen(result.outcomes)
    within = _all_below_zero(loss + margin, deviations, confidence)
    worse = _any_above_zero(loss - margin, deviations, confidence)
    best = ranks[int(np.argmax(sign * result.values))]
    allowed = [rank for rank, ok in zip(ranks, within, strict=True) if ok]
    possible = [rank for rank, bad in zip(ranks, worse, strict=True) if not bad]
    chosen = min(allowed) if allowed else max(possible)
    alone, paired = intervals(result, confidence), differences_to_best(result, best, confidence)
    evidence = {
        rank: RankEvidence(alone[rank], paired[rank], "within" if ok else "worse" if bad else "unclear")
        for rank, ok, bad in zip(ranks, within, worse, strict=True)
    }
    return RankChoice(chosen, bool(allowed), best, evidence, _statement(chosen, bool(allowed), tolerance, confidence))


def _loss(values: Float[ndarray, "some ranks"], tolerance: float, sign: int) -> Float[ndarray, "some rivals ranks"]:
    """How far each rank lies behind each rival, less what is tolerated; against itself it is always good enough."""
    behind = sign * (values[:, :, None] - values[:, None, :]) - tolerance * np.abs(values[:, :, None])
    place = np.arange(values.shape[1])
    behind[:, place, place] = -1.0
    return np.asarray(behind)


def _all_below_zero(
    loss: Pairs, deviations: Float[ndarray, "resamples rivals ranks"], confidence: float
) -> Bool[ndarray, " ranks"]:
    """The ranks whose loss against every rival is below zero; step-down over the ranks.

    Where the upper tail of the deviations is longer than the lower one (few examples tell the ranks apart), a limit
    from percentiles falls short by about that difference, to second order (Hall); it is added.
    """
    standard, size = standardised(deviations)
    low, middle, high = np.quantile(deviations, [1 - confidence, 0.5, confidence], axis=0)
    loss = loss + np.maximum(low + high - 2 * middle, 0.0)
    accepted = np.zeros(len(loss), dtype=bool)
    while not accepted.all():
        limit = np.quantile(standard[:, :, ~accepted].max(2), confidence, axis=0)  # (rivals,)
        new = ~accepted & (loss + limit[:, None] * size < 0).all(0)
        if not new.any():
            break
        accepted |= new
    return accepted


def _any_above_zero(
    loss: Pairs, deviations: Float[ndarray, "resamples rivals ranks"], confidence: float
) -> Bool[ndarray, " ranks"]:
    """The ranks whose loss against some rival is above zero, with one limit for all pairs."""
    standard, size = standardised(deviations)
    limit = np.quantile((-standard).max((1, 2)), confidence)
    return np.asarray((loss - limit * size > 0).any(0))


def _statement(rank: int, certain: bool, tolerance: float, confidence: float) -> str:
    wanted = f"within {tolerance:.3g} (relative) of the best rank with {confidence:.3g} confidence"
    if certain:
        return f"Rank {rank} is the smallest rank that is {wanted}."
    return (
        f"The data cannot tell: no rank is shown to be {wanted}. "
        f"Rank {rank} is the largest that is not shown to be worse; more examples or a larger tolerance tell more."
    )


def _check(result: Bootstrap, tolerance: float, confidence: float) -> None:
    if not tolerance >= 0:
        raise InputError("tolerance", "0 or more", tolerance, "0.01 allows 1 % relative")
    if not 0 < confidence < 1:
        raise InputError("confidence", "between 0 and 1", confidence, "0.95 is usual")
    if not (np.isfinite(result.values).all() and np.isfinite(result.draws).all()):
        wrong = [rank for rank, value in zip(result.ranks, result.values, strict=True) if not np.isfinite(value)]
        raise InputError("outcomes", "finite at every rank", f"others at {wrong or 'a resample'}", "leave ranks out")
