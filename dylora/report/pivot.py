"""Free tables: any fields of the runs down, any across."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from dylora.errors import InputError
from dylora.rank_curve.summary import aurac
from dylora.report.curves import Curves
from dylora.report.results import groups
from dylora.report.table import Cell, Table

FIELDS = ("system", "task", "rank", "seed", "metric")
_CURVE = ("task", "metric", "system", "seed")


def pivot(curves: Sequence[Curves], by: str, metric: str | None = None) -> Table:
    """A table of the runs' figures.

    With the ranks alone across, their mean and the area under the curve stand behind them, of curves that have all
    ranks of their task and metric. Figures that share a cell are averaged within each seed first; mean and deviation
    are those over the seeds.

    Args:
        curves: The runs' rank curves.
        by: Fields down and fields across, `task+system,rank`.
        metric: The metric; each task's own if left out, all where `metric` is among the fields.

    Raises:
        InputError: If there is no such field or metric.
    """
    down, across = _fields(by)
    records = _records(curves, metric, "metric" in down + across)
    if not records:
        known = ", ".join(sorted({name for c in curves for name in c.by_metric}))
        raise InputError("--metric", "a metric of the runs: " + known, repr(metric), "choose one of them")
    columns: list[tuple[Any, ...]] = sorted({_key(record, across) for record in records})
    if across == ["rank"] and len(columns) > 1:
        records += _summaries(records)
        columns += [("mean",), ("AURAC",)]
    table = Table("", [*map(str.title, down), *(" ".join(map(str, column)) for column in columns)], [], [])
    for row, same in groups(records, lambda record: _key(record, down)).items():
        cells = [_cell([record for record in same if _key(record, across) == column]) for column in columns]
        table.rows.append([*map(str, row), *(cell.text() for cell in cells)])
        for column, cell in zip(columns, cells, strict=True):
            where = dict(zip([*down, *across], [*row, *column], strict=True))
            table.tidy.append({**where, "mean": cell.mean, "std": cell.std, "seeds": len(cell.values)})
    table.legend = "mean ± sample standard deviation (number of seeds)"
    if metric is None and "metric" not in down + across:
        monitors = groups(curves, lambda c: c.monitor)
        names = (f"{name} ({', '.join(dict.fromkeys(c.task for c in same))})" for name, same in monitors.items())
        table.notes.append("Metric: " + ", ".join(names))
    return table


def _fields(by: str) -> tuple[list[str], list[str]]:
    parts = [part.split("+") for part in by.split(",")]
    names = [name for part in parts for name in part]
    if len(parts) != 2 or len(set(names)) < len(names):
        raise InputError("--by", "rows,columns", repr(by), "write --by task+system,rank")
    for name in names:
        if name not in FIELDS:
            raise InputError("--by", "fields among " + ", ".join(FIELDS), repr(name), "write --by task+system,rank")
    return parts[0], parts[1]


def _records(curves: Sequence[Curves], metric: str | None, has_all: bool) -> list[dict[str, Any]]:
    records = []
    for c in curves:
        wanted = [metric] if metric else list(c.by_metric) if has_all else [c.monitor]
        for name in wanted:
            for seed, curve in c.by_metric.get(name, {}).items():
                where = {"system": c.label, "task": c.task, "seed": seed, "metric": name}
                records += [{**where, "rank": rank, "value": value} for rank, value in curve.items()]
    return records


def _summaries(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over the ranks and the area of each curve that has all ranks that any on its task has."""
    found = []
    ranks = {
        of: {r["rank"] for r in same} for of, same in groups(records, lambda r: _key(r, ("task", "metric"))).items()
    }
    for (*where, system, seed), same in groups(records, lambda r: _key(r, _CURVE)).items():
        curve = {record["rank"]: record["value"] for record in same}
        if len(curve) > 1 and curve.keys() == ranks[tuple(where)]:
            about = dict(zip(_CURVE, (*where, system, seed), strict=True))
            found += [{**about, "rank": "mean", "value": fmean(curve.values())}]
            found += [{**about, "rank": "AURAC", "value": aurac(curve)}]
    return found


def _key(record: dict[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(record[name] for name in names)


def _cell(records: Sequence[dict[str, Any]]) -> Cell:
    by_seed = groups(records, lambda record: record["seed"])
    return Cell(tuple(fmean(record["value"] for record in same) for same in by_seed.values()))
