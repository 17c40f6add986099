"""Whether the systems of a report have learned anything that it could compare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dylora.rank_curve.kept import Kind, metric_outcomes
from dylora.report.curves import Curves
from dylora.report.outcomes import kept_of
from dylora.report.results import groups

_ASSOCIATION: dict[Kind, str] = {"classes": "matthews", "scores": "pearson"}
_DEVIATIONS = 3.0
_WITHOUT_EXAMPLES = 0.05


@dataclass(frozen=True)
class _Association:
    """How predictions and labels go together, at the best rank of a system.

    Attributes:
        metric: Matthews or Pearson correlation, which are 0 for guesses.
        value: Its mean over the seeds.
        chance: What guesses reach.
        words: What is known of the task beside.
    """

    metric: str
    value: float
    chance: float
    words: str = ""


def chance_note(curves: Sequence[Curves]) -> list[str]:
    """A note on the tasks on which every system is at chance at every rank; none if there is no such task.

    Predictions and labels are compared by Matthews correlation, or Pearson's of scores. Guesses have 0 with a standard
    deviation of 1 / sqrt(number of examples); three of them are allowed. It is taken from the outcomes of the examples;
    without those, where the metric is such a correlation, up to 0.05 is chance. Of other metrics nothing is said.

    Args:
        curves: All that the report shows.
    """
    tasks = groups(curves, lambda c: c.task)
    found = {task: worst for task, same in tasks.items() if (worst := _at_chance(same)) is not None}
    if not found:
        return []
    shown = [
        f"{task} ({a.metric} of predictions and labels {100 * a.value:.1f} at most, guesses have up to "
        f"{100 * a.chance:.1f}{a.words})"
        for task, a in found.items()
    ]
    what = "this report tells" if len(found) == len(tasks) else "they tell" if len(found) > 1 else "it tells"
    fix = "train longer, at another learning rate, or take another backbone or task"
    return [f"At chance at every rank of every system: {', '.join(shown)}; {what} no systems apart: {fix}"]


def _at_chance(curves: Sequence[Curves]) -> _Association | None:
    """The largest association of several systems on a task, if that of each is at chance."""
    largest: _Association | None = None
    for each in curves:
        found = _of_outcomes(each) or _of_figures(each)
        if found is None or not found.value <= found.chance:
            return None
        largest = found if largest is None or found.value > largest.value else largest
    return largest


def _of_outcomes(curves: Curves) -> _Association | None:
    """From what all runs of a system kept; None if one kept nothing that has labels."""
    by_rank: dict[int, list[float]] = {}
    metric, examples, words = "", 0, ""
    for run in (run for same in curves.runs.values() for run in same):
        kept = kept_of(run, curves.cut)
        if kept is None or kept.kind not in _ASSOCIATION:
            return None
        metric, examples = _ASSOCIATION[kept.kind], kept.examples
        values = metric_outcomes([replace(kept, metric=metric)]).values(np.ones((1, examples)))[0, 0]
        for rank, value in zip(kept.ranks, values.tolist(), strict=True):
            by_rank.setdefault(rank, []).append(value)
        if kept.kind == "classes":
            _, counts = np.unique(kept.expected, return_counts=True)
            words = f", the majority class has accuracy {100 * counts.max() / counts.sum():.1f}"
    best = max(abs(float(np.mean(values))) for values in by_rank.values())
    return _Association(metric, best, _DEVIATIONS / examples**0.5, f" on {examples} examples{words}")


def _of_figures(curves: Curves) -> _Association | None:
    if curves.monitor not in ("matthews", "pearson", "spearman"):
        return None
    picked = [curves.pick(curves.monitor, rank).values for rank in curves.ranks(curves.monitor)]
    return _Association(curves.monitor, max(abs(float(np.mean(v))) for v in picked) / 100, _WITHOUT_EXAMPLES)
