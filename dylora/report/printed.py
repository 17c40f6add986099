"""The figures that the paper prints, from the files beside this one."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dylora.errors import InputError
from dylora.report.curves import Pick

TABLES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "v1.1")
_FOLDER = Path(__file__).parent / "paper"
_METRICS = {
    "BLEU": "bleu",
    "NIST": "nist",
    "METEOR": "meteor",
    "ROUGE-L": "rouge_l",
    "CIDEr": "cider",
    "TER": "ter_pyter",
}
_SYSTEMS = {
    ("LoRA", "trained_at_rmax"): "lora",
    ("LoRA", "trained_per_rank"): "lora_per_rank",
    ("LoRA", "search"): "lora_search",
    ("DyLoRA", "frozen"): "dylora_frozen",
    ("DyLoRA", "unfrozen"): "dylora",
    ("DyLoRA", ""): "dylora",
    ("fine_tune", "full"): "fine_tune",
    ("FLOP", ""): "flop",
}
LABELS = {
    "lora": "LoRA",
    "lora_per_rank": "LoRA (one per rank)",
    "lora_search": "LoRA (Search)",
    "dylora": "DyLoRA",
    "dylora_frozen": "DyLoRA (Frozen)",
    "dylora_geometric": "DyLoRA, geometric",
    "dylora_frozen_geometric": "DyLoRA (Frozen), geometric",
    "dylora_summation": "DyLoRA, summation loss",
    "fine_tune": "Fine Tune",
    "flop": "FLOP",
}
"""How tables call a system of which there is no run."""
TITLES = {
    "1": "LoRA trained separately at each rank",
    "2": "GLUE at every rank",
    "3": "against fine-tuning and FLOP",
    "4": "distributions and updated rows",
    "5": "rank search",
    "6": "E2E at every rank",
    "7": "individual against summation loss",
    "8": "hyper-parameters",
    "9": "DART and WebNLG at every rank",
    "v1.1": "GLUE, mean over the ranks and rank 8 (Table 1 of the first version)",
}


@dataclass(frozen=True)
class Printed:
    """One printed figure.

    Attributes:
        system: The system, as the sweep files name it.
        pick: Which figure of its rank curve.
        task: The task, as the sweep files name it; `avg` for the average of the tasks.
        metric: The metric, as dylora names it.
        mean: The figure as printed.
        std: Its standard deviation as printed, or empty.
        rank: The rank that is printed beside a best figure, or empty.
        r_max: The largest rank of training, or empty.
        more: The further columns of the file, such as times.
    """

    system: str
    pick: Pick
    task: str
    metric: str
    mean: str
    std: str
    rank: str
    r_max: str
    more: Mapping[str, str]


def check_table(table: str) -> None:
    """Refuse a table that the paper does not have.

    Raises:
        InputError: Listing the tables.
    """
    if table not in TABLES:
        raise InputError("--table", "one of " + ", ".join(TABLES), repr(table), "choose a table from the list")


def printed_rows(table: str) -> list[dict[str, str]]:
    """The rows of the table's file."""
    name = "v1_table1" if table == "v1.1" else f"v2_table{table}"
    with (_FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def printed_figures(table: str) -> tuple[Printed, ...]:
    """The figures of a table, in its order.

    >>> printed_figures("2")[0].system, printed_figures("2")[0].mean
    ('lora', '34.60')
    """
    return tuple(_printed(row) for row in printed_rows(table))


def task_name(printed: str) -> str:
    """The task as the sweep files name it.

    >>> task_name("STS-B")
    'stsb'
    """
    return printed.lower().replace("-", "")


def metric_name(printed: str) -> str:
    """The metric as dylora names it."""
    return _METRICS.get(printed, printed)


def _printed(row: Mapping[str, str]) -> Printed:
    return Printed(
        _system(row),
        _pick(row),
        task_name(row["task"]),
        metric_name(row["metric"]),
        row["mean"],
        row["std"],
        row["rank"],
        row.get("r_max", ""),
        row,
    )


def _system(row: Mapping[str, str]) -> str:
    system = _SYSTEMS[row["method"], row["variant"]]
    if row.get("distribution") == "geometric":
        return f"{system}_geometric"
    if row.get("loss") == "summation":
        return f"{system}_summation"
    if "cost_multiple" in row and system == "dylora_frozen":
        return f"{system}_{row['r_max']}"
    return system


def _pick(row: Mapping[str, str]) -> Pick:
    if row.get("section") == "best":
        return "best"
    if row["rank"] == "1-8":
        return "mean"
    return int(row["rank"]) if row["rank"] else "full"
