"""The file of a budget: the ranks that the modules of an adapter share, with what they were chosen by."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dylora.adapters.cuts import Cut
from dylora.errors import InputError
from dylora.runs.folders import write_json


@dataclass(frozen=True)
class Budget:
    """Ranks per module.

    Attributes:
        cut: The cut that they hold under, `svd` or `two-sided`.
        mean_rank: Ranks a module in the mean that were asked for.
        cut_examples: Training examples that weigh the two-sided cut.
        checkpoint: File name of the checkpoint that they were chosen for.
        step: Its optimizer step.
        metrics: What the adapter reached with them on validation data, by metric.
        ranks: The rank of each pair of factors by its name in the model.
    """

    cut: Cut
    mean_rank: float
    cut_examples: int
    checkpoint: str
    step: int
    metrics: dict[str, float] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        found = self.ranks.values()
        of_all = f"{sum(found)} ranks in {len(found)} modules ({min(found)} to {max(found)})"
        return f"Budget {self.mean_rank:g}, cut {self.cut}: {of_all}"


def budget_file(run: Path, kind: str, mean_rank: float) -> Path:
    """Where a budget lies in a run.

    >>> budget_file(Path("version_0"), "svd", 3.0).as_posix()
    'version_0/budgets/svd-mean_rank-3.json'
    """
    return run / "budgets" / f"{kind}-mean_rank-{mean_rank:g}.json"


def write_budget(path: Path, budget: Budget) -> None:
    """Write a budget, over an older one of the same name."""
    write_json(path, asdict(budget))


def read_budget(path: Path) -> Budget:
    """The budget of a file.

    Raises:
        InputError: If it is missing or no budget.
    """
    allowed, fix = "a file that python -m dylora budget wrote", "run it, and give the file that it names"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        budget = Budget(**content)
    except (OSError, ValueError, TypeError) as error:
        raise InputError("--budget", allowed, f"{str(path)!r} ({error})", fix) from error
    is_count = all(isinstance(rank, int) for rank in budget.ranks.values()) if isinstance(budget.ranks, dict) else False
    if budget.cut not in ("svd", "two-sided") or not budget.ranks or not is_count:
        raise InputError("--budget", allowed, f"{str(path)!r}, which has no ranks of a cut", fix)
    return budget
