"""The paper's tables of scores, filled with the runs' figures: Tables 1 to 4, 6, 9 and the first version's Table 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dylora.errors import InputError
from dylora.report.curves import Curves, Pick
from dylora.report.printed import LABELS, TITLES, Printed, printed_figures
from dylora.report.table import CHOSEN_ON_SHOWN, Cell, Table

Column = tuple[str, str]
"""A task and a metric."""
_EVERY_RANK = ("1", "2", "6", "9")
_TEXT = ("6", "9")
_WITHOUT_RANK = ("fine_tune", "flop")
_AVERAGE = ("avg", "mean_of_tasks")
_PAPERS_CUT = "alpha/b"
_PICKS: dict[Pick, str] = {"mean": "mean", "aurac": "AURAC", "best": "best", "full": "full"}


@dataclass(frozen=True)
class Row:
    """A row: one figure of one system's rank curves.

    Attributes:
        system: Name of the system.
        cut: The cut that the figures are of, or empty.
        is_papers: Whether the paper's figures of the system belong here.
        pick: Which figure.
    """

    system: str
    cut: str
    is_papers: bool
    pick: Pick


class PaperTable:
    """Fill one of the paper's tables.

    Args:
        number: The table.
        curves: The runs' rank curves.
        metric: A metric in the place of the paper's.
    """

    def __init__(self, number: str, curves: Sequence[Curves], metric: str | None = None) -> None:
        self.number = number
        self.printed = {(p.system, p.pick, p.task, p.metric): p for p in printed_figures(number)}
        self.curves = {(c.system, c.cut, c.task): c for c in curves}
        self.labels = {(c.system, c.cut): c.label for c in curves}
        self.metric = metric
        self.columns = self._columns(curves)
        self.rows = [row for row in self._rows() if any(_says(cell) for cell in self._cells(row))]

    def table(self) -> Table:
        """The table with its notes."""
        heads = ["System", "Rank", *(_heading(column) for column in self.columns)]
        texts, tidy = [], []
        for row in self.rows:
            cells = self._cells(row)
            texts.append([self._label(row), str(_PICKS.get(row.pick, row.pick)), *(cell.text() for cell in cells)])
            tidy += [self._record(row, column, cell) for column, cell in zip(self.columns, cells, strict=True)]
        title = f"Table {self.number}: {TITLES[self.number]}"
        return Table(title, heads, texts, tidy, self._missing())

    def _columns(self, curves: Sequence[Curves]) -> list[Column]:
        papers = list(dict.fromkeys((task, metric) for _, _, task, metric in self.printed))
        if self.metric is not None:
            papers = list(dict.fromkeys((task, self.metric) for task, _ in papers if task != _AVERAGE[0]))
        self.papers_columns = [column for column in papers if column != _AVERAGE]
        kept = [column for column in self.papers_columns if self._has(column)]
        for task in dict.fromkeys(c.task for c in curves):
            if task not in [task for task, _ in papers]:
                monitor = next(c.monitor for c in curves if c.task == task)
                of_texts = list(dict.fromkeys(metric for _, metric in self.papers_columns))
                metrics = [self.metric or monitor] if self.number not in _TEXT or self.metric else of_texts
                kept += [(task, metric) for metric in metrics if self._has((task, metric))]
        if not kept:
            asked = self.metric or "none, and no run has the table's own"
            raise InputError("--metric", "a metric of the runs", asked, _known(curves))
        is_whole = _AVERAGE in papers and set(self.papers_columns) <= set(kept)
        return [*kept, _AVERAGE] if is_whole else kept

    def _has(self, column: Column) -> bool:
        return any(c.task == column[0] and c.ranks(column[1]) for c in self.curves.values())

    def _rows(self) -> list[Row]:
        rows = []
        groups = self._groups()
        for pick in self._picks():
            for system, cut, is_papers in groups:
                is_printed = is_papers and any(p.system == system and p.pick == pick for p in self.printed.values())
                if is_printed or self._is_extra(system, cut, pick):
                    rows.append(Row(system, cut, is_papers, pick))
        return rows

    def _groups(self) -> list[tuple[str, str, bool]]:
        """System, cut and whether the paper's figures belong to it: LoRA's under its own cut, if it was made."""
        groups = []
        for system in dict.fromkeys([p.system for p in self.printed.values()] + [s for s, _ in self.labels]):
            cuts = [cut for name, cut in self.labels if name == system] or [""]
            if _PAPERS_CUT in cuts:
                cuts = [_PAPERS_CUT, *(cut for cut in cuts if cut != _PAPERS_CUT)]
            groups += [(system, cut, place == 0) for place, cut in enumerate(cuts)]
        return groups

    def _picks(self) -> list[Pick]:
        ranks = [p.pick for p in self.printed.values() if isinstance(p.pick, int)]
        if self.number in _EVERY_RANK:
            own = [
                r for c in self.curves.values() if not _is_one(c.system) for _, m in self.columns for r in c.ranks(m)
            ]
            ranks = sorted({*ranks, *own})
        return [*dict.fromkeys(ranks), "mean", "aurac", "best", "full"]

    def _is_extra(self, system: str, cut: str, pick: Pick) -> bool:
        """Whether a row that the paper does not have belongs into the table."""
        if (system, cut) not in self.labels or (pick == "full") != _is_one(system):
            return False
        if isinstance(pick, int) or pick == "full":
            return True
        return any(len(c.ranks(m)) > 1 for c in self._of(system, cut) for _, m in self.columns)

    def _of(self, system: str, cut: str) -> list[Curves]:
        return [c for c in self.curves.values() if (c.system, c.cut) == (system, cut)]

    def _cells(self, row: Row) -> list[Cell]:
        return [self._average(row) if column == _AVERAGE else self._cell(row, column) for column in self.columns]

    def _cell(self, row: Row, column: Column) -> Cell:
        curves = self.curves.get((row.system, row.cut, column[0]))
        picked = curves.pick(column[1], row.pick) if curves else None
        printed = self._printed(row, column)
        values, ranks = (picked.values, picked.ranks) if picked else ((), ())
        paper_rank = printed.rank if printed and row.pick == "best" else ""
        mean, std = (printed.mean, printed.std) if printed else ("", "")
        return Cell(values, mean, std, ranks, paper_rank)

    def _average(self, row: Row) -> Cell:
        means = [self._cell(row, column).mean for column in self.papers_columns]
        known = [mean for mean in means if mean is not None]
        printed = self._printed(row, _AVERAGE)
        values = (fmean(known),) if len(known) == len(means) else ()
        return Cell(values, printed.mean if printed else "", has_seeds=False)

    def _printed(self, row: Row, column: Column) -> Printed | None:
        return self.printed.get((row.system, row.pick, *column)) if row.is_papers else None

    def _label(self, row: Row) -> str:
        return self.labels.get((row.system, row.cut)) or LABELS.get(row.system, row.system)

    def _record(self, row: Row, column: Column, cell: Cell) -> dict[str, Any]:
        where = {"system": row.system, "cut": row.cut, "rank": row.pick, "task": column[0], "metric": column[1]}
        return {**where, **cell.tidy()}

    def _missing(self) -> list[str]:
        """What the paper has and the runs do not: whole tasks, whole systems, single cells."""
        notes = ["Figures on the validation splits; the paper's are on the test splits"] if self.number in _TEXT else []
        if any(row.pick == "best" for row in self.rows):
            notes.append(CHOSEN_ON_SHOWN)
        if tasks := [_heading(column) for column in self.papers_columns if column not in self.columns]:
            notes.append(f"No figures on {', '.join(tasks)}: the paper's are left out")
        absent = {p.system for p in self.printed.values()} - {system for system, _ in self.labels}
        if absent:
            notes.append("No runs of " + ", ".join(LABELS.get(name, name) for name in LABELS if name in absent))
        lacking: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            for column, cell in zip(self.columns, self._cells(row), strict=True):
                if cell.paper and not cell.values and row.system not in absent:
                    lacking.setdefault((self._label(row), _heading(column)), []).append(str(row.pick))
        for (label, heading), picks in lacking.items():
            notes.append(f"No figure for {label}, rank {', '.join(picks)}, on {heading}")
        return notes


def _says(cell: Cell) -> bool:
    return bool(cell.values or cell.paper)


def _is_one(system: str) -> bool:
    return system in _WITHOUT_RANK


def _heading(column: Column) -> str:
    return "Avg" if column == _AVERAGE else f"{column[0]} {column[1]}"


def _known(curves: Sequence[Curves]) -> str:
    return "they have " + ", ".join(sorted({name for c in curves for name in c.by_metric}))
