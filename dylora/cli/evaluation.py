"""What `validate`, `test` and `predict` give."""

from pathlib import Path
from typing import Any

from dylora.adapters.active_rank import rank_state
from dylora.adapters.cuts import Cut
from dylora.callbacks.predictions import CollectPredictions, Record, write_records
from dylora.modules.base import EveryRankModule
from dylora.rank_curve.evidence import choice_if_any, choice_record
from dylora.rank_curve.summary import summarise
from dylora.rank_curve.table import marked_row, table_header, table_row
from dylora.runs.checkpoints import read_checkpoint
from dylora.runs.folders import cut_file, read_config, sweep_place, write_json
from dylora.runs.outcomes_file import cut_outcomes_file, write_outcomes
from dylora.runs.validated import validated_choice, validated_curve
from dylora.terminal import HEADING, painted


def results_table(split: str, module: EveryRankModule) -> str:
    """A row a metric, a column a rank; on test data without a best and a chosen rank, which validation tells.

    Where the examples choose a rank, it stands in the row of the monitored metric, and no other rank is called chosen.
    """
    has_choice = split == "validation"
    choice = choice_if_any(module.outcomes, module.tolerance) if has_choice else None
    width = max(12, *(len(name) + 2 for name in module.results))
    lines = [painted(table_header(split, module.eval_ranks, has_choice, width), HEADING)]
    for name, values in module.results.items():
        chosen = None if choice is None else str(choice.rank) if name == module.monitor else ""
        row = table_row(name, values, module.summary(name), has_choice, width, chosen).rstrip()
        mark = choice.rank if choice and name == module.monitor else None
        lines.append(marked_row(row, list(values), mark, width))
    return "\n".join([*lines, *([choice.statement] if choice else [])])


def choice_words(run: Path, checkpoint: Path, kind: Cut | None, module: EveryRankModule) -> str:
    """The rank that was chosen on validation data, and what the last evaluation, on test data, gave at it.

    Args:
        run: The checkpoint's run; its files hold the validation.
        checkpoint: The evaluated checkpoint.
        kind: The cut that it was evaluated under.
        module: With the results.
    """
    step = int(read_checkpoint(checkpoint)["global_step"])
    curve = validated_curve(run, checkpoint.name, step, module.monitor, kind)
    if curve is None:
        of = f"{checkpoint.name}, cut {kind}" if kind else checkpoint.name
        return f"Rank chosen on validation: none, {run} has no validation of {of}"
    by_figures = summarise(curve, module.tolerance, module.higher_is_better).chosen_rank
    chosen = validated_choice(run, checkpoint.name, step, kind) or by_figures
    if chosen is None:
        return f"Rank chosen on validation: none, the validation of {checkpoint.name} gave no number"
    words = f"Rank chosen on validation: {chosen} ({module.monitor} {curve[chosen]:.4f} there)"
    if chosen not in module.eval_ranks:
        return f"{words}; it is not among the ranks that were asked for"
    figures = ", ".join(f"{name} {values[chosen]:.4f}" for name, values in module.results.items())
    return f"{words}; on test: {figures}"


def keep_cut(run: Path, kind: Cut, checkpoint: Path, share: float | int, module: EveryRankModule) -> str:
    """Write what a cut adapter reaches to `cuts/` of its run, and say so; or say why it is not kept there.

    The file has the fields of an epoch in `rank_metrics.json`, with the cut and the checkpoint that it was made of. It
    is comparable with the run's own figures, so it is not written for some of the ranks or another share of the split.
    In a sweep's run only what the sweep lacks is written, of the checkpoint that the sweep goes by. Each example's
    outcome at each rank lies beside it, `cuts/<cut>.outcomes.npz`, so that the cut can be compared with other runs.

    Args:
        run: Folder of the run.
        kind: The cut.
        checkpoint: The evaluated checkpoint.
        share: The evaluated share of the split, `trainer.limit_val_batches`.
        module: With the results.
    """
    path = cut_file(run, kind)
    if reason := _why_not_kept(run, path, checkpoint, share, module):
        return f"Not kept: {reason}"
    step = int(read_checkpoint(checkpoint)["global_step"])
    origin = {"cut": kind, "checkpoint": checkpoint.name, "step": step}
    about = {"task": module.identity["task"], "metric": module.monitor}
    if module.outcomes is not None:
        write_outcomes(cut_outcomes_file(run, kind), module.outcomes, step)
    write_json(path, {**origin, **about, **_chosen(module), **module.record()})
    return f"Written: {path}"


def _chosen(module: EveryRankModule) -> dict[str, Any]:
    choice = choice_if_any(module.outcomes, module.tolerance)
    if choice is None or module.outcomes is None:
        return {}
    return {"chosen": choice_record(choice, module.tolerance, module.outcomes.examples)}


def _why_not_kept(run: Path, path: Path, checkpoint: Path, share: float | int, module: EveryRankModule) -> str | None:
    own = read_config(run).get("trainer", {}).get("limit_val_batches", 1.0)
    if module.eval_ranks != tuple(rank_state(module.model).config.ranks):
        return "only some of the ranks were evaluated"
    if str(share) != str(1.0 if own is None else own):  # 1 is a batch, 1.0 is all of the split
        return f"the run was validated with --trainer.limit_val_batches {own}, this is {share}"
    if sweep_place(run) is not None and checkpoint.name != "last.ckpt":
        return f"the run belongs to a sweep, which goes by last.ckpt, and this is {checkpoint.name}"
    if sweep_place(run) is not None and path.is_file():
        return f"{path} belongs to a sweep; delete it to have it made anew"
    return None


def write_predictions(collected: CollectPredictions, folder: Path, data: object = None) -> list[Path]:
    """A JSON Lines file a split; an existing file is kept and the new one numbered.

    Args:
        collected: What was predicted.
        folder: Where the files go.
        data: The data module, whose `described(split, indices)` says what rows are in words, if it has one.
    """
    return write_records(folder, {name: _in_words(name, records, data) for name, records in collected.records.items()})


def _in_words(split: str, records: list[Record], data: object) -> list[Record]:
    """The records with what the data says of their rows behind their indices."""
    if not hasattr(data, "described"):
        return records
    words = data.described(split, [record["index"] for record in records])
    return [{"index": record["index"], **said, **record} for record, said in zip(records, words, strict=True)]
