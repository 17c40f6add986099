"""The probability of improvement over several tasks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from dylora.rank_curve.intervals import Interval
from dylora.rank_curve.paired import RESAMPLES, PairedRuns


def better_pairs(
    system: Float[ndarray, "*any seeds columns"], reference: Float[ndarray, "*any others columns"]
) -> Float[ndarray, "*any columns"]:
    """The share of pairs of runs of which the system's is better; an equal pair counts half.

    It is Mann and Whitney's U divided by the number of pairs.

    >>> better_pairs(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]])).item()  # 1 = 1, 1 < 2, 3 > 1, 3 > 2
    0.625
    """
    x, y = system[..., :, None, :], reference[..., None, :, :]
    return np.asarray(((x > y) + 0.5 * (x == y)).mean((-3, -2)))


def probability_of_improvement(
    tasks: Sequence[PairedRuns], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """How likely a run of the system is better than one of the reference, on a task taken at random.

    P(X > Y) = 1/M sum over tasks m of P(X_m > Y_m), with P(X_m > Y_m) = 1/(N K) sum over runs i, j of S(x_mi, y_mj),
    where S is 1 if x > y, 1/2 if both are equal and 0 else (Agarwal et al., Deep Reinforcement Learning at the Edge of
    the Statistical Precipice, NeurIPS 2021, arXiv 2108.13264, section 4.3; their library is rliable). The interval is
    theirs, too: percentiles of a bootstrap stratified by task, which draws the runs of each system anew, here together
    with the examples where outcomes are known. All pairs of runs count, not only those of the same seed.

    Args:
        tasks: The runs on each task, all with the same columns.
        confidence: Between 0 and 1.
        resamples: How many.
        seed: The same seed gives the same figures.

    Returns:
        For each column the probability; NaN where a run lacks the figure.
    """
    generator = np.random.default_rng(seed)
    value = np.mean([better_pairs(task.system, task.reference) for task in tasks], axis=0)
    draws = np.mean([_redrawn(task, resamples, generator) for task in tasks], axis=0)
    lacking = np.any([np.isnan(task.gains).any(0) for task in tasks], axis=0)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    rows = np.where(lacking, np.nan, np.stack([value, low, high]))
    return [Interval(*map(float, row)) for row in rows.T]


def _redrawn(task: PairedRuns, resamples: int, generator: np.random.Generator) -> Float[ndarray, "resamples columns"]:
    """The probability on one task, with runs and examples drawn anew."""
    seeds = len(task.system)
    chosen = []
    for values, redrawn in ((task.system, task.redrawn_system), (task.reference, task.redrawn_reference)):
        places = generator.integers(seeds, size=(resamples, seeds))
        chosen.append(values[places] if redrawn is None else np.take_along_axis(redrawn, places[..., None], axis=1))
    return better_pairs(*chosen)
