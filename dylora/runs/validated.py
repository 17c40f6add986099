"""What the validations of a run gave its checkpoints, read from the run's folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dylora.runs.folders import cut_file
from dylora.runs.record import METRICS_FILE

Curve = dict[int, float]


def validated_curve(run: Path, checkpoint: str, step: int, metric: str, cut: str | None = None) -> Curve | None:
    """A metric at every rank, as a checkpoint of the run was validated.

    Args:
        run: The run's folder.
        checkpoint: Name of the checkpoint's file.
        step: The optimizer step that it was written at.
        metric: The metric.
        cut: The cut that it was validated under; None for the adapter as it was trained.

    Returns:
        For each rank the figure; None if the folder knows of no such validation.
    """
    found = validated_metrics(run, checkpoint, step, cut)
    return None if found is None else found.get(metric)


def validated_metrics(run: Path, checkpoint: str, step: int, cut: str | None = None) -> dict[str, Curve] | None:
    """All metrics at every rank, as a checkpoint of the run was validated; arguments as of `validated_curve`."""
    if cut is not None:
        content = _read(cut_file(run, cut))
        same = content.get("checkpoint") == checkpoint and content.get("step", step) == step  # older files have no step
        return _curves(content) if same else None
    epochs = _read(run / METRICS_FILE).get("epochs", [])
    return next((_curves(epoch) for epoch in reversed(epochs) if epoch.get("step") == step), None)


def validated_choice(run: Path, checkpoint: str, step: int, cut: str | None = None) -> int | None:
    """The rank that the validation examples of a checkpoint chose; None if none is recorded.

    Arguments are those of `validated_choice_record`.
    """
    record = validated_choice_record(run, checkpoint, step, cut)
    return None if record is None else int(record["rank"])


def validated_choice_record(run: Path, checkpoint: str, step: int, cut: str | None = None) -> dict[str, Any] | None:
    """The choice of a rank that the validation examples of a checkpoint made, with its evidence, in plain types.

    Args:
        run: The run's folder.
        checkpoint: Name of the checkpoint's file.
        step: The optimizer step that it was written at.
        cut: The cut that it was validated under; None for the adapter as it was trained.

    Returns:
        What `rank_metrics.json` has under `chosen`; None if none is recorded.
    """
    content = _read(run / METRICS_FILE if cut is None else cut_file(run, cut))
    chosen: dict[str, Any] = content.get("chosen") or {}
    same = (chosen if cut is None else content).get("step") == step
    same = same and (cut is None or content.get("checkpoint") == checkpoint)
    return chosen if same and "rank" in chosen else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _curves(record: Mapping[str, Any]) -> dict[str, Curve]:
    metrics = record.get("metrics", {})
    return {name: {int(rank): float(value) for rank, value in by_rank.items()} for name, by_rank in metrics.items()}
