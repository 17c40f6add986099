"""The table of what every system gains on one of them, with intervals and a word for each cell."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from dylora.errors import InputError
from dylora.rank_curve.direction import printed_scale
from dylora.rank_curve.improvement import probability_of_improvement
from dylora.rank_curve.intervals import Interval
from dylora.rank_curve.paired import RESAMPLES, Gain, PairedRuns, mean_gain
from dylora.report.curves import Curves, is_same
from dylora.report.paired_runs import SUMMARIES, Pair, pair
from dylora.report.reference import Reference
from dylora.report.results import groups
from dylora.report.table import NOTHING, Table

Column = int | str
_PICKS: dict[str, str] = {"mean": "mean", "AURAC": "aurac"}
_METHOD = (
    "Each interval for itself. Runs of the same seed are paired: over the seeds by t; over the examples, the same for "
    f"both systems, by {RESAMPLES:,} resamples; the errors of tasks add up, with Welch's degrees of freedom"
)
_IMPROVEMENT = (
    "P(better): the probability that a run is better than one of the reference's, over all pairs of runs of a task, "
    "all tasks alike (Agarwal et al. 2021); its interval by a bootstrap stratified by task"
)


def against_table(curves: Sequence[Curves], reference: Reference, metric: str | None = None) -> Table:
    """For each task, and over the tasks, what each system gains on the reference at each rank.

    Args:
        curves: The systems and cuts to compare.
        reference: What they are compared with.
        metric: The metric; each task's own if left out.

    Raises:
        InputError: If no run of another system can be paired with one of the reference.
    """
    pairs = _pairs(curves, reference, metric)
    if not pairs:
        asked = f"{reference.label}, of which no run shares task, seed, rank and metric with another system's"
        raise InputError(
            "--against", "a system that others can be compared with", asked, "run both with the same seeds"
        )
    columns = _all_columns([found for of_system in pairs.values() for found in of_system])
    table = Table("", ["Task", "System", "Seeds", *map(str, columns)], [], [], [*reference.notes])
    table.title = f"Gain on {reference.label}"
    table.legend = (
        "mean over the seeds of the paired difference (on the printed scale, above 0 is better) "
        "[95 % interval], and whether it lies above 0 (win), below (loss) or neither (cannot tell)"
    )
    for task in dict.fromkeys(found.task for of_system in pairs.values() for found in of_system):
        _add_reference(table, reference, task, columns, metric)
        for label, of_system in pairs.items():
            for found in (found for found in of_system if found.task == task):
                _add(table, task, label, [found], columns)
    over_tasks = {label: of_system for label, of_system in pairs.items() if len(of_system) > 1}
    for add in (_add_mean, _add_probability):
        for label, of_system in over_tasks.items():
            add(table, label, of_system, columns)
    table.notes += _notes(pairs)
    return table


def _pairs(curves: Sequence[Curves], reference: Reference, metric: str | None) -> dict[str, list[Pair]]:
    """For each other system, under its label, its pairs on the tasks in the reference's order."""
    found: dict[str, list[Pair]] = {}
    for place, (task, theirs) in enumerate(reference.curves.items()):
        for ours in (c for c in curves if c.task == task):
            is_itself = len({c.cut for c in reference.curves.values()}) == 1 and (
                ours is theirs or is_same(theirs, ours)
            )
            paired = None if is_itself else pair(ours, theirs, metric or theirs.monitor, place)
            if paired is not None:
                found.setdefault(ours.label, []).append(paired)
    return found


def _all_columns(pairs: Sequence[Pair]) -> list[Column]:
    ranks = sorted({column for found in pairs for column in found.columns if isinstance(column, int)})
    return [*ranks, *SUMMARIES]


def _add_reference(
    table: Table, reference: Reference, task: str, columns: Sequence[Column], metric: str | None
) -> None:
    curves = reference.curves[task]
    name = metric or curves.monitor
    picks = [curves.pick(name, _PICKS.get(str(column), column)).values for column in columns]  # type: ignore[arg-type]
    texts = [f"{fmean(values):.2f}" if values else NOTHING for values in picks]
    seeds = str(len(curves.by_metric.get(name, {})))
    table.rows.append([f"{task} {name}", f"{reference.label} (itself)", seeds, *texts])


def _add(table: Table, task: str, label: str, pairs: Sequence[Pair], columns: Sequence[Column]) -> None:
    """A row of gains, on one task or in the mean over several."""
    shared = [c for c in columns if all(c in found.columns for found in pairs)]
    gains = dict(zip(shared, mean_gain([_only(found, shared) for found in pairs]), strict=True))
    seeds = _seeds(pairs)
    table.rows.append([task, label, seeds, *(_gain(gains.get(column)) for column in columns)])
    for column, gain in gains.items():
        table.tidy.append({**_where(task, pairs, column), "figure": "gain", **_tidy(gain, gain.verdict)})


def _add_mean(table: Table, label: str, pairs: Sequence[Pair], columns: Sequence[Column]) -> None:
    """The mean gain over the tasks that are printed on one scale."""
    alike = [found for found in pairs if printed_scale(found.metric, 1.0) == 100]
    if len({found.metric for found in pairs}) == 1:
        alike = list(pairs)
    if len(alike) > 1:
        _add(table, f"mean of {len(alike)} tasks", label, alike, columns)


def _add_probability(table: Table, label: str, pairs: Sequence[Pair], columns: Sequence[Column]) -> None:
    """The probability of improvement over all tasks."""
    shared = [c for c in columns if all(c in found.columns for found in pairs)]
    found = dict(zip(shared, probability_of_improvement([_only(p, shared) for p in pairs]), strict=True))
    task = f"P(better), {len(pairs)} tasks"
    table.rows.append([task, label, _seeds(pairs), *(_probability(found.get(column)) for column in columns)])
    for column, interval in found.items():
        table.tidy.append({**_where(task, pairs, column), "figure": "probability", **_tidy(interval, _word(interval))})


def _only(found: Pair, columns: Sequence[Column]) -> PairedRuns:
    """The runs of a pair with some of its columns."""
    return found.runs.at([found.columns.index(column) for column in columns])


def _gain(gain: Gain | None) -> str:
    """A cell.

    >>> _gain(Gain(0.5, 0.1, 0.9)), _gain(Gain(0.5, math.nan, math.nan))
    ('+0.50 [+0.10, +0.90] win', '+0.50 cannot tell')
    """
    if gain is None or math.isnan(gain.value):
        return NOTHING
    interval = "" if math.isnan(gain.low) else f" [{gain.low:+.2f}, {gain.high:+.2f}]"
    return f"{gain.value:+.2f}{interval} {gain.verdict}"


def _probability(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.value):
        return NOTHING
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}] {_word(interval)}"


def _word(interval: Interval) -> str:
    return "win" if interval.low > 0.5 else "loss" if interval.high < 0.5 else "cannot tell"


def _tidy(found: Gain | Interval, verdict: str) -> dict[str, Any]:
    low, high = (None if math.isnan(end) else end for end in (found.low, found.high))
    return {"value": found.value, "low": low, "high": high, "verdict": verdict}


def _where(task: str, pairs: Sequence[Pair], column: Column) -> dict[str, Any]:
    """What a figure is of, as columns of a file."""
    examples = " ".join(str(found.runs.examples) for found in pairs if found.runs.examples)
    of = {"task": task, "system": pairs[0].system, "cut": pairs[0].cut, "rank": column}
    return {**of, "seeds": _seeds(pairs), "examples": examples}


def _seeds(pairs: Sequence[Pair]) -> str:
    return "-".join(map(str, sorted({min(len(p.seeds) for p in pairs), max(len(p.seeds) for p in pairs)})))


def _notes(pairs: Mapping[str, Sequence[Pair]]) -> list[str]:
    every = [(label, found) for label, of_system in pairs.items() for found in of_system]
    notes = [_METHOD]
    for why, same in groups(every, lambda item: item[1].without_examples).items():
        if why:
            whom = "all" if len(same) == len(every) else ", ".join(f"{label} on {found.task}" for label, found in same)
            notes.append(f"Over the seeds alone, {why}: {whom}")
    if any(len(found.seeds) == 1 for _, found in every):
        notes.append("With one seed an interval speaks of these two adapters on other examples, not of other seeds")
    if any(len(of_system) > 1 for of_system in pairs.values()):
        notes.append(_IMPROVEMENT)
        others = {f"{p.task} ({p.metric})" for _, p in every if printed_scale(p.metric, 1.0) != 100}
        if others and len({p.metric for _, p in every}) > 1:
            notes.append(f"Not in the mean over the tasks, being on other scales: {', '.join(sorted(others))}")
    return notes
