"""What `validate`, `test` and `predict` give."""

from pathlib import Path

from dylora.adapters.cuts import Cut
from dylora.callbacks.predictions import CollectPredictions, write_json_lines
from dylora.modules.base import EveryRankModule
from dylora.rank_curve.table import table_header, table_row
from dylora.runs.folders import cut_file, free_path, write_json


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
