"""What `validate`, `test` and `predict` give."""

from pathlib import Path

from dylora.adapters.cuts import Cut
from dylora.callbacks.predictions import CollectPredictions, Record, write_json_lines
from dylora.data.submission import write_submission
from dylora.modules.base import EveryRankModule
from dylora.rank_curve.table import table_header, table_row
from dylora.runs.folders import cut_file, free_path, write_json
from dylora.tasks import Task


def results_table(split: str, module: EveryRankModule) -> str:
    """A row a metric, a column a rank."""
    lines = [table_header(split, module.eval_ranks)]
    lines += [table_row(name, values, module.summary(name)) for name, values in module.results.items()]
    return "\n".join(lines)


def write_cut(run: Path, kind: Cut, checkpoint: Path, module: EveryRankModule) -> Path:
    """What a cut adapter reaches, in `cuts/` of its run; an earlier file of the same cut is replaced.

    The fields of an epoch in `rank_metrics.json`, with the cut and the checkpoint that it was made of.
    """
    path = cut_file(run, kind)
    origin = {"cut": kind, "checkpoint": checkpoint.name, "task": module.identity["task"], "metric": module.monitor}
    write_json(path, {**origin, **module.record()})
    return path


def write_predictions(collected: CollectPredictions, folder: Path) -> list[Path]:
    """A JSON Lines file a split; an existing file is kept and the new one numbered."""
    paths = []
    for split, records in collected.records.items():
        path = free_path(folder / f"{split}.jsonl")
        write_json_lines(path, records)
        paths.append(path)
    return paths


def write_submissions(collected: CollectPredictions, task: Task, ranks: tuple[int, ...], folder: Path) -> list[Path]:
    """The leaderboard's files of each rank, in `rank_<b>/` if there are several."""
    paths = []
    for rank in ranks:
        answers = {
            split: {record["index"]: _answer(record, rank, task) for record in records}
            for split, records in collected.records.items()
        }
        place = folder if len(ranks) == 1 else folder / f"rank_{rank}"
        paths += write_submission(task, place, answers)
    return paths


def _answer(record: Record, rank: int, task: Task) -> float:
    """The class id, or the score, that a rank predicts."""
    prediction = record["ranks"][str(rank)]
    return float(prediction["score"]) if task.is_regression else task.labels.index(prediction["label"])
