"""The paper's tables of cost: the rank search (Table 5) and the summation loss (Table 7)."""

from collections.abc import Sequence
from statistics import fmean

from dylora.report.curves import Curves, Picked
from dylora.report.printed import LABELS, TITLES, printed_figures
from dylora.report.table import CHOSEN_ON_SHOWN, Cell, Table

_SECONDS = "Seconds of run.json: training with its validations and the start, over all resumes"


def search_table(curves: Sequence[Curves]) -> Table:
    """Table 5: the best rank that a search over LoRA's ranks finds, and that of one DyLoRA run, with their cost."""
    printed = printed_figures("5")
    tasks = _tasks(curves, [p.task for p in printed])
    heads = ["r_max", "System", *(_heading(task, curves, "accuracy") for task in tasks), "Seconds", "Cost"]
    notes = [_SECONDS, "Cost: seconds ÷ those of the DyLoRA run", CHOSEN_ON_SHOWN]
    table = Table(f"Table 5: {TITLES['5']}", heads, [], [], notes=notes)
    for r_max, system in dict.fromkeys((p.r_max, p.system) for p in printed):
        cells = []
        for task in tasks:
            paper = next((p for p in printed if (p.r_max, p.system, p.task) == (r_max, system, task)), None)
            own = _curves(curves, system, task)
            picked = own.best_of_each(_metric(own, "accuracy"), int(r_max)) if own else Picked()
            mean, rank = (paper.mean, paper.rank) if paper else ("", "")
            cells.append(Cell(picked.values, mean, "", picked.ranks, rank))
        multiple = next(p.more["cost_multiple"] for p in printed if (p.r_max, p.system) == (r_max, system))
        seconds = _total(curves, system, tasks, int(r_max))
        reference = _total(curves, f"dylora_frozen_{r_max}", tasks)
        cost = (seconds / reference,) if seconds and reference else ()
        cells += [Cell((seconds,) if seconds else (), has_seeds=False), Cell(cost, multiple, has_seeds=False)]
        _append(table, [r_max, _label(curves, system)], cells)
    return _with_missing(table, [p.task for p in printed], tasks)


def loss_table(curves: Sequence[Curves]) -> Table:
    """Table 7: the mean over the ranks and the training time of the individual and of the summation loss."""
    printed = printed_figures("7")
    tasks = _tasks(curves, [p.task for p in printed])
    heads = ["System"]
    for task in tasks:
        heads += [f"{_heading(task, curves, 'matthews')}, mean over ranks", f"{task} seconds", f"{task} time"]
    table = Table(f"Table 7: {TITLES['7']}", heads, [], [], notes=[_SECONDS, "Time: ÷ that of the individual loss"])
    for paper in printed:
        cells = []
        for task in tasks:
            own = _curves(curves, paper.system, task)
            is_papers = task == paper.task
            picked = own.pick(_metric(own, "matthews"), "mean") if own else Picked()
            seconds = own.training_seconds() if own else ()
            time = _ratio(seconds, _curves(curves, "dylora", task))
            cells += [
                Cell(picked.values, paper.mean if is_papers else ""),
                Cell(seconds, paper.more["train_time_s"] if is_papers else ""),
                Cell(time, _printed_time(paper.system) if is_papers else "", has_seeds=False),
            ]
        _append(table, [_label(curves, paper.system)], cells)
    return _with_missing(table, [p.task for p in printed], tasks)


def _append(table: Table, names: list[str], cells: Sequence[Cell]) -> None:
    table.rows.append([*names, *(cell.text() for cell in cells)])
    heads = table.heads[len(names) :]
    keys = dict(zip(table.heads, names, strict=False))
    table.tidy += [{**keys, "figure": head, **cell.tidy()} for head, cell in zip(heads, cells, strict=True)]


def _with_missing(table: Table, papers: Sequence[str], tasks: Sequence[str]) -> Table:
    """The table with notes on what the paper has and the runs do not."""
    if absent := [task for task in dict.fromkeys(papers) if task not in tasks]:
        table.notes.append(f"No runs on {', '.join(absent)}: the paper's figures are left out")
    for record in table.tidy:
        if record["paper_mean"] and record["mean"] is None:
            r_max = f" (r_max {record['r_max']})" if "r_max" in record else ""
            table.notes.append(f"No figure for {record['System']}{r_max}: {record['figure']}")
    return table


def _tasks(curves: Sequence[Curves], papers: Sequence[str]) -> list[str]:
    """The paper's tasks that there are runs on, then the others; the paper's if there are no runs at all."""
    own = dict.fromkeys(c.task for c in curves)
    kept = [task for task in dict.fromkeys(papers) if task in own]
    return [*kept, *(task for task in own if task not in kept)] or list(dict.fromkeys(papers))


def _curves(curves: Sequence[Curves], system: str, task: str) -> Curves | None:
    return next((c for c in curves if (c.system, c.cut, c.task) == (system, "", task)), None)


def _metric(curves: Curves, papers: str) -> str:
    return papers if papers in curves.by_metric else curves.monitor


def _heading(task: str, curves: Sequence[Curves], papers: str) -> str:
    own = next((c for c in curves if c.task == task), None)
    return f"{task} {_metric(own, papers) if own else papers}"


def _label(curves: Sequence[Curves], system: str) -> str:
    known = next((c.label for c in curves if (c.system, c.cut) == (system, "")), None)
    return known or LABELS.get(system) or LABELS.get(system.rpartition("_")[0], system)


def _total(curves: Sequence[Curves], system: str, tasks: Sequence[str], most: int | None = None) -> float | None:
    """Seconds of a system on all tasks, the mean over its seeds; None unless it ran on all of them."""
    own = [_curves(curves, system, task) for task in tasks]
    times = [c.training_seconds(most) for c in own if c is not None]
    return sum(fmean(time) for time in times) if len(times) == len(tasks) else None


def _ratio(seconds: Sequence[float], reference: Curves | None) -> tuple[float, ...]:
    base = reference.training_seconds() if reference else ()
    return (fmean(seconds) / fmean(base),) if seconds and sum(base) else ()


def _printed_time(system: str) -> str:
    times = {p.system: float(p.more["train_time_s"]) for p in printed_figures("7")}
    return f"{times[system] / times['dylora']:.2f}"
