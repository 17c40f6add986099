"""Read the runs below folders: which count, their figures, and what is to be said about the others."""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from dylora.errors import InputError
from dylora.runs.folders import RUN_FILE, read_config
from dylora.runs.record import METRICS_FILE, RunRecord, read_record, tuning_score

Epoch = Literal["last", "best"]
Rates = Literal["best", "all"]
Figures = dict[str, dict[int, float]]
"""A metric, then a rank, then the value."""
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class Result:
    """A finished run and its figures.

    Attributes:
        record: What the run is.
        folder: The folder with its `rank_metrics.json`.
        monitor: The metric that it goes by.
        score: What its learning rate is judged by, higher is better for any metric.
        figures: Its figures, for each cut; those under the empty name are the training run's own, which are also
            those of the cut that is named as its scaling.
        steps: The optimizer step of the weights that each cut's figures are of, where it is known.
    """

    record: RunRecord
    folder: Path
    monitor: str
    score: float
    figures: dict[str, Figures]
    steps: dict[str, int] = field(default_factory=dict)


def read_results(
    folders: Sequence[Path], table: str | None, epoch: Epoch, rates: Rates = "best"
) -> tuple[list[Result], list[str]]:
    """The runs that count, and notes on those that do not.

    Args:
        folders: Folders to search for `run.json`.
        table: Take the runs that were made for this table of the paper, if there are some; all if there are none.
        epoch: The epoch whose figures count.
        rates: Of a grid of learning rates, keep the best, or make each a system of its own.

    Returns:
        One result for each system, task, seed and rank, and a line for each run that is left out.

    Raises:
        InputError: If a folder holds no run, or one of another format.
    """
    places = _places(folders)
    records = [(place, record) for place in places if (record := read_record(place)) is not None and not record.tunes]
    if table is not None:
        records = [pair for pair in records if pair[1].table == table] or records
    notes = [_why_not(record) for _, record in records if record.status != "finished"]
    results = [_result(place, record, epoch) for place, record in records if record.status == "finished"]
    results, tuned = _tuned(results) if rates == "best" else ([_named_by_rate(result) for result in results], [])
    results, doubled = _newest(results)
    return results, notes + tuned + doubled


def read_tuning(folders: Sequence[Path], results: Sequence[Result]) -> list[Result]:
    """The runs on held-out training rows in which the learning rates of results were chosen.

    Args:
        folders: Folders to search for `run.json`.
        results: What they were chosen for.
    """
    chosen = {(r.record.system, r.record.task, r.record.rank, r.record.learning_rate) for r in results}
    found = []
    for place in _places(folders):
        record = read_record(place)
        if record is None or not record.tunes or record.status != "finished":
            continue
        if (record.system, record.task, record.rank, record.learning_rate) in chosen:
            found.append(_result(place, record, "last"))
    return found


def _places(folders: Sequence[Path]) -> list[Path]:
    places: list[Path] = []
    for folder in folders:
        found = sorted(path.parent for path in folder.rglob(RUN_FILE))
        if not found:
            given = f"{str(folder)!r}, which " + ("has none" if folder.is_dir() else "does not exist")
            fix = "make some: python -m dylora sweep table2 --preset small"
            raise InputError("FOLDER", f"a folder with runs of a sweep ({RUN_FILE})", given, fix)
        places += found
    return list({place.resolve(): place for place in places}.values())


def _result(place: Path, record: RunRecord, epoch: Epoch) -> Result:
    folder = place / (record.result or "")
    content = _read(folder / METRICS_FILE)
    try:
        evaluated = {"": content[epoch]}
        for path in sorted((folder / "cuts").glob("*.json")):
            cut = _read(path)
            evaluated[cut["cut"]] = cut
        if len(evaluated) > 1:
            evaluated.setdefault(_scaling(folder), content["last"])
        figures = {cut: _figures(found["metrics"]) for cut, found in evaluated.items()}
        steps = {cut: int(found["step"]) for cut, found in evaluated.items() if "step" in found}
        return Result(record, folder, content["metric"], tuning_score(record, content), figures, steps)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _not_figures(folder / METRICS_FILE, f"one where {error!r} is missing or wrong") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _not_figures(path, f"one that cannot be read ({error})") from error
    return content


def _not_figures(path: Path, given: str) -> InputError:
    return InputError(str(path), "a file of figures that dylora wrote", given, "delete the run's folder, run it again")


def _figures(metrics: Mapping[str, Mapping[str, float]]) -> Figures:
    return {name: {int(rank): float(value) for rank, value in values.items()} for name, values in metrics.items()}


def _scaling(folder: Path) -> str:
    """The cut that the training run's own evaluation is."""
    scaling: str = read_config(folder).get("model", {}).get("adapter", {}).get("scaling", "")
    return scaling


def _why_not(record: RunRecord) -> str:
    words = {"running": "has not ended", "interrupted": "was interrupted", "failed": f"failed ({record.error})"}
    return f"{record.title} {words[record.status]}: not counted"


def _tuned(results: list[Result]) -> tuple[list[Result], list[str]]:
    """Of several learning rates, the one that did best with the seed that tried them all."""
    kept, notes = [], []
    for same in groups(results, lambda r: (r.record.system, r.record.task, r.record.rank)).values():
        rates = {result.record.learning_rate for result in same}
        if len(rates) < 2:
            kept += same
            continue
        by_seed = groups(same, lambda r: r.record.seed)
        seed, tried = max(by_seed.items(), key=lambda item: len({r.record.learning_rate for r in item[1]}))
        best = max(tried, key=lambda r: r.score).record.learning_rate
        kept += [result for result in same if result.record.learning_rate == best]
        record, others = same[0].record, ", ".join(f"{r:g}" for r in sorted(r for r in rates if r is not None))
        rank = "" if record.rank is None else f" rank {record.rank}"
        what = f"{record.system} {record.task}{rank}"
        notes.append(f"{what}: learning rate {best:g}, the best of {others} with seed {seed}")
    return kept, notes


def _named_by_rate(result: Result) -> Result:
    record = result.record
    if record.learning_rate is None:
        return result
    name = f"lr {record.learning_rate:g}"
    return replace(result, record=replace(record, system=f"{record.system} {name}", label=f"{record.label}, {name}"))


def _newest(results: list[Result]) -> tuple[list[Result], list[str]]:
    """Of several runs with the same seed, the one that ended last."""
    kept, notes = [], []
    for same in groups(results, lambda r: (r.record.system, r.record.task, r.record.seed, r.record.rank)).values():
        newest = max(same, key=lambda r: r.record.finished or "")
        kept.append(newest)
        if len(same) > 1:
            notes.append(f"{newest.record.title}: {len(same)} runs, the newest counts ({newest.folder})")
    return kept, notes


def groups(items: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """Items by a key, in the order in which the keys come.

    >>> groups([1, 2, 3, 4], lambda number: number % 2)
    {1: [1, 3], 0: [2, 4]}
    """
    found: dict[K, list[V]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found
