"""Which learning rate of a grid is best, by the runs of the first seed."""

import json
import math
from collections.abc import Sequence

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
            scores[other.learning_rate] = score(other, record)
    return run.at(max(scores, key=scores.__getitem__)) if scores else None


def score(run: Run, record: RunRecord) -> float:
    """The monitored metric in the last epoch, higher is better for any metric: what a run was trained for.

    That is the area under the rank curve; the metric at the largest rank for a system that is cut, since it was trained
    at that rank alone.

    Args:
        run: A finished run.
        record: Its record.
    """
    assert record.result is not None
    content = json.loads((run.place / record.result / METRICS_FILE).read_text(encoding="utf-8"))
    last = content["last"]
    value = float(last["score"])
    if run.cuts:
        lower_is_better = value == -last["aurac"] != last["aurac"]
        curve = {int(rank): float(figure) for rank, figure in last["metrics"][content["metric"]].items()}
        value = -curve[max(curve)] if lower_is_better else curve[max(curve)]
    return -math.inf if math.isnan(value) else value
