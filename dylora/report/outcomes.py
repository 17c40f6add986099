"""The outcomes of the examples behind the figures of a report, where the runs kept them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from dylora.errors import InputError
from dylora.rank_curve.direction import printed_scale
from dylora.rank_curve.kept import KeptOutcomes, can_be_kept, metric_outcomes, side_by_side
from dylora.report.curves import Curves
from dylora.report.results import Result
from dylora.runs.folders import cut_file
from dylora.runs.outcomes_file import outcomes_of_step

_SAME_FIGURE = 1e-3


def kept_of(run: Result, cut: str) -> KeptOutcomes | None:
    """What a run kept; a cut that was never evaluated by itself is the run's own scaling."""
    if cut not in run.steps:
        return None
    return outcomes_of_step(run.folder, run.steps[cut], cut if cut and cut_file(run.folder, cut).is_file() else None)


def outcomes_of(curves: Curves, seed: int, metric: str, ranks: Sequence[int]) -> KeptOutcomes | None:
    """The outcomes of a seed at some ranks, in their order; None unless they were kept and give the figures again."""
    by_rank: dict[int, KeptOutcomes] = {}
    for run in curves.runs[seed]:
        kept = kept_of(run, curves.cut)
        if kept is None or not can_be_kept(kept.kind, metric):
            return None
        kept = replace(kept, metric=metric)
        by_rank |= {rank: kept.at([rank]) for rank in kept.ranks if rank in ranks}
    if set(by_rank) != set(ranks):
        return None
    try:
        joined = reduce(side_by_side, (by_rank[rank] for rank in ranks))
    except InputError:
        return None
    again = metric_outcomes([joined]).values(np.ones((1, joined.examples)))[0, 0]
    known = np.array([curves.by_metric[metric][seed][rank] for rank in ranks]) / printed_scale(metric, 1.0)
    return joined if np.allclose(again, known, rtol=_SAME_FIGURE, atol=_SAME_FIGURE) else None
