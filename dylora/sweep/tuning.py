"""Which learning rate of a grid is best, by the runs of the first seed."""

import json
from collections.abc import Sequence
from typing import Any

from dylora.runs.record import METRICS_FILE, RunRecord, read_record, tuning_score
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
            scores[other.learning_rate] = tuning_score(record, _metrics(other, record))
    return run.at(max(scores, key=scores.__getitem__)) if scores else None


def _metrics(run: Run, record: RunRecord) -> dict[str, Any]:
    assert record.result is not None
    content: dict[str, Any] = json.loads((run.place / record.result / METRICS_FILE).read_text(encoding="utf-8"))
    return content
