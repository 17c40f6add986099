"""The runs of two systems on a task, seed for seed, with the outcomes of the examples where both kept them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from dylora.errors import InputError
from dylora.rank_curve.direction import higher_is_better, printed_scale
from dylora.rank_curve.kept import KeptOutcomes
from dylora.rank_curve.paired import PairedRuns, redraw
from dylora.rank_curve.summary import aurac
from dylora.report.curves import Curves
from dylora.report.outcomes import outcomes_of

SUMMARIES = ("mean", "AURAC")


@dataclass(frozen=True)
class Pair:
    """A system and the reference on one task.

    Attributes:
        system: Name of the system.
        cut: Its cut, or empty.
        task: Name of the task.
        metric: The metric.
        seeds: The seeds that both have.
        columns: What the columns of the runs are: the ranks that both have, the mean over them and the area.
        runs: The figures, on the printed scale and turned so that higher is better.
        without_examples: Why the examples do not count; empty if they do.
    """

    system: str
    cut: str
    task: str
    metric: str
    seeds: tuple[int, ...]
    columns: tuple[int | str, ...]
    runs: PairedRuns
    without_examples: str


def pair(system: Curves, reference: Curves, metric: str, draw: int = 0) -> Pair | None:
    """Pair the runs of two systems on one task.

    Args:
        system: The system's curves.
        reference: The reference's.
        metric: The metric.
        draw: The same number draws the same examples.

    Returns:
        None where they have no seed or no rank in common.
    """
    ours, theirs = system.by_metric.get(metric, {}), reference.by_metric.get(metric, {})
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    ranks = tuple(sorted(set(system.ranks(metric)) & set(reference.ranks(metric))))
    if not seeds or not ranks:
        return None
    sign = 1.0 if higher_is_better(metric) else -1.0
    before, after = (
        sign * _columns(np.array([[curve[seed].get(rank, np.nan) for rank in ranks] for seed in seeds]), ranks)
        for curve in (theirs, ours)
    )
    runs, why = PairedRuns(before, after), "a run lacks a rank"
    if not np.isnan(runs.gains).any():
        kept = [[outcomes_of(c, seed, metric, ranks) for c in (reference, system)] for seed in seeds]
        runs, why = _with_examples(runs, kept, metric, ranks, draw)
    return Pair(system.system, system.cut, system.task, metric, seeds, (*ranks, *SUMMARIES), runs, why)


def _with_examples(
    runs: PairedRuns, kept: Sequence[Sequence[KeptOutcomes | None]], metric: str, ranks: Sequence[int], draw: int
) -> tuple[PairedRuns, str]:
    """The runs with their figures on resampled examples, or why that is not possible.

    Args:
        runs: The runs.
        kept: For each seed the outcomes of the reference and of the system.
        metric: The metric.
        ranks: The ranks.
        draw: The same number draws the same examples.
    """
    theirs, ours = ([each for each in of_system if each is not None] for of_system in zip(*kept, strict=True))
    if len(theirs) + len(ours) < 2 * len(kept):
        return runs, "not all runs kept outcomes"
    try:
        before, after, margins = redraw(theirs, ours, draw)
    except InputError:
        return runs, "the runs were evaluated on different examples"
    scale = printed_scale(metric, 1.0) * (1 if higher_is_better(metric) else -1)
    before, after, margins = (
        _columns(f * v, ranks) for f, v in ((scale, before), (scale, after), (abs(scale), margins))
    )
    return PairedRuns(runs.reference, runs.system, before, after, margins, ours[0].examples), ""


def _columns(values: ndarray, ranks: Sequence[int]) -> ndarray:
    """The figures at each rank (..., ranks), and behind them the mean and the area (..., ranks + 2)."""
    weights = np.array([aurac({rank: float(rank == one) for rank in ranks}) for one in ranks])
    return np.concatenate([values, values.mean(-1, keepdims=True), (values @ weights)[..., None]], axis=-1)
