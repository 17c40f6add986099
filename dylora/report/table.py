"""A table as formats need it, and the text of a cell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

LEGEND = "mean ± sample standard deviation (number of seeds) [the paper's figure, difference]"
NOTHING = "—"
CHOSEN_ON_SHOWN = "Best ranks are chosen on the validation figures that are shown, so these are optimistic"


@dataclass(frozen=True)
class Cell:
    """One figure of one system, beside the paper's.

    Attributes:
        values: One for each seed.
        paper: The paper's figure as printed, or empty.
        paper_std: Its standard deviation as printed, or empty.
        ranks: The ranks of the values, where they were chosen.
        paper_rank: The rank that the paper prints beside its figure, or empty.
        has_seeds: Whether the values are those of seeds; an average of averages has none.
    """

    values: tuple[float, ...] = ()
    paper: str = ""
    paper_std: str = ""
    ranks: tuple[int, ...] = ()
    paper_rank: str = ""
    has_seeds: bool = True

    @property
    def mean(self) -> float | None:
        """Mean over the seeds."""
        return fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds, of two at least."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """Of the two means as they are printed."""
        if self.mean is None or not self.paper or math.isnan(self.mean):
            return None
        return round(float(f"{self.mean:.2f}") - float(self.paper), 2) + 0.0  # never -0.00

    def text(self) -> str:
        """The cell in one line.

        >>> Cell((90.0, 91.0), "91.58", "0.69").text()
        '90.50 ± 0.71 (2) [91.58 ± 0.69, -1.08]'
        """
        return " ".join(part for part in (self._own(), self._printed()) if part) or NOTHING

    def tidy(self) -> dict[str, Any]:
        """The cell as the columns of a file."""
        return {
            "mean": self.mean,
            "std": self.std,
            "seeds": len(self.values) if self.has_seeds else None,
            "ranks": " ".join(map(str, self.ranks)),
            "paper_mean": self.paper,
            "paper_std": self.paper_std,
            "paper_rank": self.paper_rank,
            "difference": None if self.difference is None else f"{self.difference:.2f}",
        }

    def _own(self) -> str:
        if self.mean is None:
            return NOTHING if self.paper else ""
        std = "" if self.std is None else f" ± {self.std:.2f}"
        seeds = f" ({len(self.values)})" if self.has_seeds else ""
        return f"{self.mean:.2f}{std}{_at(sorted(set(self.ranks)))}{seeds}"

    def _printed(self) -> str:
        if not self.paper:
            return ""
        std = f" ± {self.paper_std}" if self.paper_std else ""
        difference = "" if self.difference is None else f", {self.difference:+.2f}"
        return f"[{self.paper}{std}{_at([self.paper_rank] if self.paper_rank else [])}{difference}]"


@dataclass
class Table:
    """A table of texts.

    Attributes:
        title: Its title.
        heads: Headings of all columns.
        rows: The texts, row by row.
        tidy: The same as records, one figure each, for files that programs read.
        notes: Lines to stand below it.
        legend: What the cells hold, or empty.
    """

    title: str
    heads: list[str]
    rows: list[list[str]]
    tidy: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    legend: str = LEGEND


def _at(ranks: Sequence[object]) -> str:
    if not ranks:
        return ""
    return f" at rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"
