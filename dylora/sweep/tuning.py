"""Which learning rate of a grid is best, by the runs that tried them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dylora.rank_curve.direction import higher_is_better
from dylora.rank_curve.summary import aurac
from dylora.runs.folders import cut_file
from dylora.runs.record import METRICS_FILE, RunRecord, read_record, tuning_score
from dylora.sweep.expansion import Run


def resolve(run: Run, tried: Sequence[Run]) -> Run | None:
    """The run with the learning rate that did best in the runs that tried them; None if none of them finished.

    Args:
        run: A run whose learning rate is to be chosen.
        tried: All runs of the sweep.
    """
    same = [other for other in tried if (other.system, other.task, other.rank) == (run.system, run.task, run.rank)]
    scores = {}
    for other in same:
        record = read_record(other.place)
        if other.learning_rate is not None and record is not None and record.status == "finished":
            scores[other.learning_rate] = _score(other, record)
    return run.at(max(scores, key=scores.__getitem__)) if scores else None


def _score(run: Run, record: RunRecord) -> float:
    """How good a run is; of one that only tunes, the best of its curves, as trained and under each cut."""
    assert record.result is not None
    folder = run.place / record.result
    metrics = _read(folder / METRICS_FILE)
    if not run.tunes:
        return tuning_score(record, metrics)
    metric, curves = metrics["metric"], [metrics["last"]["metrics"]]
    curves += [_read(cut_file(folder, cut))["metrics"] for cut in run.cuts]
    return max(_area(metric, curve[metric]) for curve in curves)


def _area(metric: str, curve: dict[str, float]) -> float:
    """The area under a rank curve, higher is better for any metric."""
    area = aurac({int(rank): value for rank, value in curve.items()})
    return -math.inf if math.isnan(area) else area if higher_is_better(metric) else -area


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
