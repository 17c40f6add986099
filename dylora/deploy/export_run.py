"""A trained run written out: a folder for a rank, with its card."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from dylora.adapters.active_rank import rank_state
from dylora.adapters.cuts import Cut, cut
from dylora.adapters.export import peft_adapter
from dylora.deploy.backbone import name_labels, place_of, save_preprocessor
from dylora.deploy.card import PICTURE, CardFacts, Curves, card
from dylora.deploy.loading import merged_lines, peft_lines
from dylora.deploy.merged_folder import DType, write_merged
from dylora.deploy.peft_folder import write_peft
from dylora.deploy.trained import Trained
from dylora.rank_curve.picture import draw_rank_curve
from dylora.rank_curve.summary import summarise
from dylora.runs.validated import validated_metrics

Format = Literal["peft", "merged"]
_KINDS = {"peft": "A LoRA adapter in PEFT's form", "merged": "A model with its adapter merged in,"}
_LIBRARIES = {"peft": "peft", "merged": "transformers"}


@dataclass(frozen=True)
class Export:
    """What is to be written.

    Attributes:
        format: `peft` or `merged`.
        cut: A way to cut the adapter; None leaves it as it was trained.
        dtype: Type of merged weights; None keeps fp32.
        place: How the card calls the folder: its name on the hub, or its path.
        command: The command, for the card.
    """

    format: Format
    cut: Cut | None
    dtype: DType | None
    place: str
    command: str


def write_rank(folder: Path, trained: Trained, rank: int, export: Export) -> None:
    """Write a trained adapter at one rank into a folder, with tokenizer, label names and card.

    Args:
        folder: Where to; it exists.
        trained: The run.
        rank: A rank of its range.
        export: What is to be written.

    Raises:
        InputError: If the adapter has no such form; see `peft_adapter` and `write_merged`.
    """
    model = trained.module.model
    backbone = trained.record["backbone"]
    name_labels(model, getattr(getattr(trained.module, "task", None), "labels", ()))
    with cut(model, export.cut) if export.cut else nullcontext():
        if export.format == "merged":
            write_merged(folder, model, rank, export.dtype)
            lines = merged_lines(model, export.place)
        else:
            place = place_of(backbone["name"])
            adapter = peft_adapter(model, rank, place, backbone["revision"])
            write_peft(folder, adapter)
            has_head = bool(adapter.config["modules_to_save"])
            if has_head:  # says how wide the head is, and the names of the classes
                model.config.save_pretrained(folder)
            lines = peft_lines(model, export.place, place, has_head)
    save_preprocessor(model, backbone["name"], folder)
    _write_card(folder, trained, f"rank {rank}", export, lines)


def _write_card(folder: Path, trained: Trained, ranks: str, export: Export, lines: str) -> None:
    module, name = trained.module, trained.record["backbone"]["name"]
    metrics = validated_metrics(trained.run, trained.checkpoint.name, trained.step, export.cut) or {}
    monitored = metrics.get(module.monitor)
    summary = summarise(monitored, module.tolerance, module.higher_is_better) if monitored else None
    if monitored and summary:
        title = f"{trained.record['task']}, validation"
        draw_rank_curve(monitored, module.monitor, title, summary).savefig(folder / PICTURE)
    facts = CardFacts(
        title=f"{Path(name).name} on {trained.record['task']}, {ranks}",
        kind=_KINDS[export.format],
        library=_LIBRARIES[export.format],
        backbone=name,
        task=str(trained.record["task"]),
        ranks=ranks,
        settings=_settings(trained),
        loading=lines,
        command=export.command,
        monitor=module.monitor,
        metrics=cast(Curves, metrics),
        summary=summary,
        cut=export.cut,
    )
    (folder / "README.md").write_text(card(facts), encoding="utf-8")


def _settings(trained: Trained) -> dict[str, Any]:
    config = rank_state(trained.module.model).config
    return {
        "backbone": trained.record["backbone"]["name"],
        "weights of the backbone (fingerprint)": trained.record["backbone"]["fingerprint"],
        "task": trained.record["task"],
        "ranks": f"{config.min_rank} to {config.max_rank}, step {config.rank_step}",
        "alpha": config.alpha,
        "scaling": config.scaling,
        "target modules": ", ".join(config.target_modules or ["queries and values of every attention"]),
        "checkpoint": f"{trained.checkpoint.name}, step {trained.step}",
    }
