"""What a sweep writes beside each of its runs, `run.json`, and what a report reads there."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from dylora.errors import InputError
from dylora.rank_curve.direction import higher_is_better
from dylora.runs.folders import RUN_FILE, check_below, write_json

FORMAT = 1
METRICS_FILE = "rank_metrics.json"
Status = Literal["running", "interrupted", "finished", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """One run of a sweep: what it is, and how far it came.

    Attributes:
        sweep: Name of the sweep.
        table: The paper's table that it belongs to, or None.
        system: Name of the system in the sweep file.
        label: How tables and pictures call the system.
        task: Name of the task in the sweep file.
        seed: Seed of everything random.
        rank: The only rank, of a system that is trained once per rank; else None.
        learning_rate: The learning rate that is tried, of a system with a grid; else None.
        overrides: Options of `fit` on top of the task's configuration file.
        command: Arguments of `python -m dylora` that start it.
        status: How far it came.
        seconds: Time of training with its validations, over all resumes.
        evaluation_seconds: Time of the further evaluations (cuts), over all resumes.
        result: The folder with `rank_metrics.json`, relative to that of `run.json`; None before training has ended.
        error: Why it failed, one line.
        version: Version of dylora.
        started: When it was started last, ISO 8601.
        finished: When it ended, ISO 8601.
        settings: All options that decide its figures, with dots; empty in records of versions that did not keep them.
        tunes: Whether it only tells how good its learning rate is; its figures are not reported.
    """

    sweep: str
    table: str | None
    system: str
    label: str
    task: str
    seed: int
    rank: int | None
    learning_rate: float | None
    overrides: dict[str, Any]
    command: list[str]
    status: Status = "running"
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    result: str | None = None
    error: str | None = None
    version: str = ""
    started: str = ""
    finished: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    tunes: bool = False

    @property
    def title(self) -> str:
        """The run in words: system, task, seed and, where it has them, rank and learning rate."""
        rank = "" if self.rank is None else f" rank {self.rank}"
        rate = "" if self.learning_rate is None else f" lr {self.learning_rate:g}"
        return f"{self.system} {self.task} {'tuning' if self.tunes else f'seed {self.seed}'}{rank}{rate}"

    def write(self, folder: Path) -> None:
        """Write `run.json`; a reader sees the old one or the new one, never a part."""
        write_json(folder / RUN_FILE, {"format": FORMAT, **asdict(self)})


def read_record(folder: Path) -> RunRecord | None:
    """The record of a run's folder; None if there is none.

    Raises:
        InputError: If it is unreadable, of another format, or names a folder outside the run's.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), "JSON", f"a file that is not ({error})", "delete the run's folder") from error
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found != FORMAT:
        given = "none" if found is None else f"format {found}"
        fix = "read it with the version of dylora that wrote it, or run it again under another --root"
        raise InputError(str(path), f"a run's record of format {FORMAT}", given, fix)
    names = {field.name for field in fields(RunRecord)}
    needed = {
        field.name for field in fields(RunRecord) if field.default is MISSING and field.default_factory is MISSING
    }
    if not needed | {"status"} <= content.keys() <= names:
        wrong = sorted(content.keys() - names) or "too few keys"
        raise InputError(str(path), "a run's record", f"one with {wrong}", "delete the run's folder")
    if content.get("result") is not None:
        check_below(f"{path}: result", str(content["result"]))
    for name, value in content.items():
        is_of_kind = isinstance(value, _KINDS[name]) and isinstance(value, bool) == (_KINDS[name] == (bool,))
        if not is_of_kind or (name == "status" and value not in get_args(Status)):
            raise InputError(
                str(path), "a run's record", f"one whose {name} is {value!r:.60}", "delete the run's folder"
            )
    return RunRecord(**content)


_TEXTS = ("sweep", "system", "label", "task", "status", "version", "started")
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, (str,)),
    **dict.fromkeys(("table", "result", "error", "finished"), (str, type(None))),
    **dict.fromkeys(("seconds", "evaluation_seconds"), (int, float)),
    **dict.fromkeys(("overrides", "settings"), (dict,)),
    **{
        "seed": (int,),
        "rank": (int, type(None)),
        "learning_rate": (int, float, type(None)),
        "command": (list,),
        "tunes": (bool,),
    },
}


def tuning_score(record: RunRecord, metrics: Mapping[str, Any]) -> float:
    """What a learning rate is chosen by: the monitored metric in the last epoch, higher is better for any metric.

    That is the area under the rank curve; the metric at the largest rank where that rank alone was trained, which is
    how a LoRA that is to be cut is tuned.

    Args:
        record: The run.
        metrics: The content of its `rank_metrics.json`.

    Raises:
        KeyError: If the content lacks a figure.
    """
    last = metrics["last"]
    value = float(last["score"])
    options = record.overrides
    if options.get("rank_sampling.distribution") == "max_rank" or options.get("rank_sampling.recipe") == "lora":
        metric = metrics["metric"]
        curve = {int(rank): float(figure) for rank, figure in last["metrics"][metric].items()}
        value = curve[max(curve)] if higher_is_better(metric) else -curve[max(curve)]
    return -math.inf if math.isnan(value) else value
