"""The runs that a page shows, read from their folders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dylora.errors import InputError
from dylora.rank_curve.direction import higher_is_better
from dylora.rank_curve.kept import KeptOutcomes
from dylora.rank_curve.summary import RankSummary, summarise
from dylora.runs.checkpoints import KEY, read_checkpoint
from dylora.runs.folders import CHECKPOINTS, cut_file, read_config, sweep_place
from dylora.runs.outcomes_file import outcomes_of_step
from dylora.runs.record import METRICS_FILE, read_record

Curve = dict[int, float]


@dataclass(frozen=True)
class Sizes:
    """What an adapter costs.

    Attributes:
        per_rank: Numbers that each further rank adds.
        fixed: Numbers that are the same at every rank, such as a task head.
        bytes_each: Bytes of a number.
    """

    per_rank: int
    fixed: int
    bytes_each: int

    def at(self, rank: int) -> tuple[int, int]:
        """Parameters and bytes of the adapter at a rank, with what is the same at every rank."""
        count = self.per_rank * rank + self.fixed
        return count, count * self.bytes_each


@dataclass(frozen=True)
class PageRun:
    """A run in its best epoch.

    Attributes:
        name: What the page calls it.
        folder: Where it lies.
        task: Its task.
        metric: The metric that its ranks are compared by.
        values: That metric at every rank.
        intervals: The 95 % interval at every rank; empty where it is not known.
        svd: The metric at every rank under the SVD cut of the same weights; empty where it is not known.
        epochs: The metric at every rank in every epoch.
        bands: The intervals of every epoch, one dictionary each.
        chosen: The chosen rank.
        statement: Why; empty where the examples did not choose it.
        options: Its configuration, with dots.
        seconds: Time of training; None where it is not known.
        sizes: What the adapter costs; None where no checkpoint is kept, or it has no adapter.
        labels: Names of the classes; empty where there are none.
        kept: Each example's outcome at each rank; None where they were not kept.
    """

    name: str
    folder: Path
    task: str
    metric: str
    values: Curve
    intervals: dict[int, tuple[float, float]]
    svd: Curve
    epochs: list[Curve]
    bands: list[dict[int, tuple[float, float]]]
    chosen: int
    statement: str
    options: dict[str, str]
    seconds: float | None
    sizes: Sizes | None
    labels: tuple[str, ...]
    kept: KeptOutcomes | None

    @property
    def summary(self) -> RankSummary:
        """The curve in a few numbers."""
        return summarise(self.values, higher_is_better=higher_is_better(self.metric))


def read_runs(folders: Sequence[Path]) -> list[PageRun]:
    """The runs in and below folders; of a sweep's resumed runs, the one that its record names.

    Raises:
        InputError: If a folder holds none, or a file of figures cannot be read.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        places = [path.parent for path in sorted(folder.rglob(METRICS_FILE)) if _counts(path.parent)]
        if not places:
            given = f"{str(folder)!r}, which " + ("has none" if folder.is_dir() else "does not exist")
            fix = "name a run (logs/<task>/version_<n>) or a sweep"
            raise InputError("FOLDER", f"a folder with runs ({METRICS_FILE})", given, fix)
        found |= {place.resolve(): place for place in places}
    runs = [_read(place) for place in found.values()]
    names = [run.name for run in runs]
    return [run if names.count(run.name) == 1 else replace(run, name=str(run.folder)) for run in runs]


def _counts(folder: Path) -> bool:
    place = sweep_place(folder)
    record = read_record(place) if place else None
    return record is None or (not record.tunes and (place / (record.result or "")).resolve() == folder.resolve())  # type: ignore[operator]


def _read(folder: Path) -> PageRun:
    path = folder / METRICS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _run(folder, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        given = f"one that cannot be read ({error!r})"
        fix = "delete the run's folder, run it again"
        raise InputError(str(path), "a file of figures that dylora wrote", given, fix) from error


def _run(folder: Path, content: Mapping[str, Any]) -> PageRun:
    metric, best, chosen = str(content["metric"]), content["best"], content.get("chosen") or {}
    place = sweep_place(folder)
    record = read_record(place) if place else None
    recorded = {rank: found["interval"] for rank, found in chosen.get("ranks", {}).items()}
    sizes, labels = _checkpoint(folder)
    epochs = content.get("epochs", [best])
    return PageRun(
        name=f"{record.label}, seed {record.seed}" if record else f"{folder.parent.name}/{folder.name}",
        folder=folder,
        task=str(content.get("task", record.task if record else folder.parent.name)),
        metric=metric,
        values=_curve(best["metrics"][metric]),
        intervals=_bands(recorded or best.get("intervals", {})),
        svd=_svd(folder, content, metric),
        epochs=[_curve(epoch["metrics"][metric]) for epoch in epochs],
        bands=[_bands(epoch.get("intervals", {})) for epoch in epochs],
        chosen=int(chosen.get("rank", best.get("chosen_rank", 0))),
        statement=str(chosen.get("statement", "")),
        options=flat(read_config(folder)),
        seconds=record.seconds if record else content.get("seconds"),
        sizes=sizes,
        labels=labels,
        kept=outcomes_of_step(folder, int(best.get("step", -1))),
    )


def flat(options: Any, prefix: str = "") -> dict[str, str]:  # noqa: ANN401
    """Nested options as text, with dots.

    >>> flat({"model": {"alpha": 16, "ranks": [1, 2]}})
    {'model.alpha': '16', 'model.ranks': '[1, 2]'}
    """
    if not isinstance(options, Mapping):
        return {prefix.rstrip("."): str(options)}
    return {k: v for key, value in options.items() for k, v in flat(value, f"{prefix}{key}.").items()}


def _curve(values: Mapping[str, float]) -> Curve:
    return {int(rank): float(value) for rank, value in values.items()}


def _bands(values: Mapping[str, Sequence[float]]) -> dict[int, tuple[float, float]]:
    return {int(rank): (float(low), float(high)) for rank, (low, high) in values.items()}


def _svd(folder: Path, content: Mapping[str, Any], metric: str) -> Curve:
    """The SVD cut of the weights of the best epoch, as training or a later evaluation found it."""
    if "svd" in content.get("cuts_of_best", {}):
        return _curve(content["cuts_of_best"]["svd"])
    path = cut_file(folder, "svd")
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return _curve(found["metrics"][metric]) if found.get("step") == content["best"].get("step") and found else {}


def _checkpoint(folder: Path) -> tuple[Sizes | None, tuple[str, ...]]:
    path = next((p for p in (folder / CHECKPOINTS / f"{n}.ckpt" for n in ("best", "last")) if p.is_file()), None)
    if path is None:
        return None, ()
    try:
        content = read_checkpoint(path)
    except InputError:
        return None, ()
    return sizes_of(content.get("state_dict", {})), tuple(content.get(KEY, {}).get("labels", ()))


def sizes_of(state: Mapping[str, Any]) -> Sizes | None:
    """Costs of the tensors of a checkpoint: `lora_A` (max_rank, in) and `lora_B` (out, max_rank) grow with the rank."""
    factors = {name: t for name, t in state.items() if "lora_A" in name or "lora_B" in name}
    if not factors:
        return None
    per_rank = sum(t.shape[-1] if "lora_A" in name else t.shape[0] for name, t in factors.items())
    fixed = sum(t.numel() for name, t in state.items() if name not in factors)
    return Sizes(per_rank, fixed, next(iter(factors.values())).element_size())
