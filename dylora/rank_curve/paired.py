"""What a system gains on another one, seed for seed on the same examples: on one task, and in the mean over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from dylora.rank_curve.intervals import resampled, unseen
from dylora.rank_curve.kept import KeptOutcomes, metric_outcomes, side_by_side
from dylora.rank_curve.student import t_quantile

Verdict = Literal["win", "loss", "cannot tell"]
RESAMPLES = 2000
_NO_SPREAD = 1e-9  # differences of floats that are the same figures


@dataclass(frozen=True)
class PairedRuns:
    """Figures of two systems on one task; the runs of a row have the same seed. Higher is better in all of them.

    Attributes:
        reference: (seeds, columns); a column is a figure, such as that of a rank. NaN where a run lacks it.
        system: (seeds, columns); likewise.
        redrawn_reference: (resamples, seeds, columns); the figures on resampled examples, the same for both systems
            and all seeds. None where the outcomes of the examples are not known.
        redrawn_system: Likewise.
        margins: (columns,); what a difference may be beyond what resampling shows, see `intervals.unseen`.
        examples: Number of examples; 0 where the outcomes are not known.
    """

    reference: Float[ndarray, "seeds columns"]
    system: Float[ndarray, "seeds columns"]
    redrawn_reference: Float[ndarray, "resamples seeds columns"] | None = field(default=None, repr=False)
    redrawn_system: Float[ndarray, "resamples seeds columns"] | None = field(default=None, repr=False)
    margins: Float[ndarray, " columns"] | None = field(default=None, repr=False)
    examples: int = 0

    @property
    def gains(self) -> Float[ndarray, "seeds columns"]:
        """By how much each run of the system is better than the reference's of the same seed."""
        return np.asarray(self.system - self.reference)

    def at(self, columns: Sequence[int]) -> "PairedRuns":
        """The same runs with the columns at some places."""
        places = list(columns)
        before, after = self.redrawn_reference, self.redrawn_system
        return PairedRuns(
            self.reference[:, places],
            self.system[:, places],
            None if before is None else before[..., places],
            None if after is None else after[..., places],
            None if self.margins is None else self.margins[places],
            self.examples,
        )


@dataclass(frozen=True)
class Gain:
    """A mean difference with its interval.

    Attributes:
        value: The mean; NaN if there is none.
        low: Lower end of the interval; NaN if the runs do not allow one.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether the interval lies above 0, below it, or neither.

        >>> Gain(0.5, 0.1, 0.9).verdict, Gain(0.5, float("nan"), float("nan")).verdict
        ('win', 'cannot tell')
        """
        return "win" if self.low > 0 else "loss" if self.high < 0 else "cannot tell"


def redraw(
    references: Sequence[KeptOutcomes], systems: Sequence[KeptOutcomes], seed: int = 0, resamples: int = RESAMPLES
) -> tuple[ndarray, ndarray, ndarray]:
    """The metric of both systems at every rank, with the same resampled examples for both and for all seeds.

    Args:
        references: For each seed the outcomes of the reference's run.
        systems: Those of the system's run, in the same order, at as many ranks.
        seed: The same seed draws the same examples.
        resamples: How many.

    Returns:
        The reference's metric (resamples, seeds, ranks), the system's, and `intervals.unseen` of each rank (ranks,).

    Raises:
        InputError: If two of the runs were not evaluated on the same examples.
    """
    outcomes = metric_outcomes([side_by_side(*pair) for pair in zip(references, systems, strict=True)])
    count = len(references[0].ranks)
    values = outcomes.values(_weights(outcomes.examples, resamples, seed))
    margins = unseen(outcomes)[range(count), range(count, 2 * count)]
    return values[..., :count], values[..., count:], margins


def mean_gain(tasks: Sequence[PairedRuns], confidence: float = 0.95) -> list[Gain]:
    """The mean over tasks of the mean gain over seeds, with an interval for each column.

    The error of a task's mean has two parts: that of its S seeds, the variance of the paired differences divided by S
    (S - 1 degrees of freedom), and that of its n examples, the variance of the mean over resamples of the examples.
    The tasks are given, so their errors add up as those of strata: interval = mean ± t · sqrt(sum of all parts) /
    number of tasks, where t has the degrees of freedom of Welch and Satterthwaite (Satterthwaite 1946). With one task
    and no outcomes it is the paired t test. Seeds are not resampled: three values drawn again from three would give
    intervals that are far too short. With one seed the interval speaks of these two adapters alone.

    Args:
        tasks: The runs on each task, all with the same columns.
        confidence: Between 0 and 1.

    Returns:
        A gain for each column. Where a task has a single seed and no outcomes, or seeds that differ by the same amount
        and no outcomes, nothing is known of its error, and there is no interval.
    """
    values = np.mean([_mean(task.gains) for task in tasks], axis=0)
    parts = [part for task in tasks for part in _error_parts(task)]
    variances = np.stack([variance for variance, _ in parts])  # (parts, columns)
    degrees = np.stack([degree for _, degree in parts])
    total = variances.sum(0)
    by_degrees = (variances**2 / degrees).sum(0)
    pooled = np.divide(total**2, by_degrees, out=np.full_like(total, np.inf), where=by_degrees > 0)
    quantiles = np.array([t_quantile((1 + confidence) / 2, max(1.0, float(d))) if d == d else np.nan for d in pooled])
    margin = np.mean([np.zeros(values.shape) if task.margins is None else task.margins for task in tasks], axis=0)
    width = quantiles * np.sqrt(total) / len(tasks) + margin
    return [Gain(float(v), float(v - w), float(v + w)) for v, w in zip(values, width, strict=True)]


def _error_parts(task: PairedRuns) -> list[tuple[ndarray, ndarray]]:
    """Variance and degrees of freedom of each part of the error of a task's mean, (columns,) each.

    A variance is NaN where nothing is known of the task's error.
    """
    seeds = (~np.isnan(task.gains)).sum(0)
    centred = task.gains - _mean(task.gains)
    spread = np.nansum(centred**2, axis=0) / np.maximum(seeds - 1, 1)
    of_seeds = np.where(seeds > 1, spread / np.maximum(seeds, 1), 0.0)
    degrees = np.maximum(seeds - 1, 1).astype(float)
    if task.redrawn_system is None or task.redrawn_reference is None:
        is_unknown = (seeds == 0) | ((spread < _NO_SPREAD**2) & (np.abs(_mean(task.gains)) > _NO_SPREAD))
        is_unknown |= seeds == 1
        return [(np.where(is_unknown, np.nan, of_seeds), degrees)]
    of_examples = (task.redrawn_system - task.redrawn_reference).mean(1).var(0, ddof=1)
    return [(of_seeds, degrees), (of_examples, np.full(len(of_examples), max(1.0, task.examples - 1)))]


def _mean(gains: Float[ndarray, "seeds columns"]) -> Float[ndarray, " columns"]:
    """The mean over the seeds that have a figure; NaN where none has."""
    known = (~np.isnan(gains)).sum(0)
    return np.where(known > 0, np.nansum(gains, axis=0) / np.maximum(known, 1), np.nan)


@lru_cache(maxsize=2)
def _weights(examples: int, resamples: int, seed: int) -> Float[ndarray, "resamples examples"]:
    return resampled(examples, resamples, np.random.default_rng(seed))
