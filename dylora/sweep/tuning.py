"""Which learning rate of a grid is best, by the runs of the first seed."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from dylora.run_record import METRICS_FILE, RunRecord, read_record
from dylora.sweep.expansion import Run


def resolve(run: Run, tried: Sequence[Run]) -> Run | None:
    """The run with the learning rate that did best in the runs of the first seed; None if none of them finished.

    Args:
        run: A run of another seed.
        tried: All runs of the sweep.
    """
    same = [other for other in tried if (other.system, other.task, other.rank) == (run.system, run.task, run.rank)]
    scores = {}
    for other in same:
        record = read_record(other.place)
        if other.learning_rate is not None and record is not None and record.status == "finished":
            scores[other.learning_rate] = score(other.place, record)
    return run.at(max(scores, key=scores.__getitem__)) if scores else None


def score(place: Path, record: RunRecord) -> float:
    """The area under the rank curve of the monitored metric in the last epoch; higher is better for any metric."""
    assert record.result is not None
    content = json.loads((place / record.result / METRICS_FILE).read_text(encoding="utf-8"))
    value = float(content["last"]["score"])
    return -math.inf if math.isnan(value) else value
