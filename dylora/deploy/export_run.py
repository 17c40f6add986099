"""A trained model written out: a folder for a rank or for all of them, with its card."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn
from transformers import PreTrainedModel

from dylora.adapters.active_rank import rank_state
from dylora.adapters.budget import truncated
from dylora.adapters.cuts import Cut, cut
from dylora.adapters.export import peft_adapter
from dylora.adapters.sensitivity import Sensitivities
from dylora.adapters.sorting import Factors, put_factors_
from dylora.deploy.adapter_folder import config_fields
from dylora.deploy.backbone import name_labels, path_of
from dylora.deploy.budget_file import Budget
from dylora.deploy.card import CardFacts, card
from dylora.deploy.checksums import write_sums
from dylora.deploy.figures import figures_of
from dylora.deploy.loading import dylora_lines, merged_lines, peft_lines
from dylora.deploy.merged_folder import DType, write_merged
from dylora.deploy.peft_folder import write_peft
from dylora.deploy.predictor import Predictor
from dylora.deploy.save import save
from dylora.deploy.trained import Trained
from dylora.whole_files import write_whole

Format = Literal["peft", "merged", "dylora"]
_KINDS = {
    "peft": "A LoRA adapter in PEFT's form",
    "merged": "A model with its adapter merged in,",
    "dylora": "An adapter with all its ranks",
}
_LIBRARIES = {"peft": "peft", "merged": "transformers", "dylora": "dylora"}


@dataclass(frozen=True)
class Export:
    """What is to be written.

    Attributes:
        format: `peft`, `merged` or `dylora`.
        cut: A way to cut the adapter; None leaves it as it was trained.
        dtype: Type of merged weights; None keeps the backbone's.
        place: How the card calls the folder: its name on the hub, or its path.
        command: The command, for the card.
        budget: Ranks per module, under the cut of the budget; None for the same rank in all.
        sensitivities: What weighs the two-sided cut.
        learned: The factors of the learned cut.
    """

    format: Format
    cut: Cut | None
    dtype: DType | None
    place: str
    command: str
    budget: Budget | None = None
    sensitivities: Sensitivities | None = None
    learned: Factors | None = None

    def form(self, model: nn.Module) -> AbstractContextManager[None]:
        """The adapter in its cut inside a `with` block, without one as it was trained."""
        learned = self.learned
        learn = partial(put_factors_, model, learned) if learned is not None else None
        return cut(model, self.cut, self.sensitivities, learn) if self.cut else nullcontext()


def write_rank(folder: Path, trained: Trained, rank: int, export: Export) -> None:
    """Write a trained adapter at one rank for PEFT or transformers, with tokenizer, label names and card.

    Args:
        folder: Where to; it exists and is empty.
        trained: The trained model.
        rank: A rank of its range; with a budget, its largest.
        export: What is to be written.

    Raises:
        InputError: If the adapter has no such form; see `peft_adapter` and `write_merged`.
    """
    model, record = cast(PreTrainedModel, trained.predictor.model), trained.predictor.record
    name_labels(model, record.labels)
    ranks = export.budget.ranks if export.budget else None
    with export.form(model):
        if export.format == "merged":
            with truncated(model, ranks) if ranks else nullcontext():
                write_merged(folder, model, rank, export.dtype)
            lines = merged_lines(model, export.place)
        else:
            path = path_of(record.backbone["name"])
            adapter = peft_adapter(
                model, export.budget.ranks if export.budget else rank, path, record.backbone.get("revision")
            )
            write_peft(folder, adapter)
            has_head = bool(adapter.config["modules_to_save"])
            if has_head:  # says how wide the head is, and the names of the classes
                model.config.save_pretrained(folder)
            lines = peft_lines(model, export.place, path, has_head, record.backbone.get("gguf_file"))
    if trained.predictor.preprocessor is not None:
        trained.predictor.preprocessor.save_pretrained(folder)
    title = f"ranks per module ({export.budget.mean_rank:g} in the mean)" if export.budget else f"rank {rank}"
    _write_card(folder, trained, title, export, lines)


def write_all_ranks(folder: Path, trained: Trained, export: Export) -> None:
    """Write a folder of dylora with its card; arguments as of `write_rank`.

    Under a cut the folder has the factors and the scaling of the cut.
    """
    predictor = trained.predictor
    with export.form(predictor.model):
        config = rank_state(predictor.model).config
        record = replace(predictor.record, adapter=config_fields(config))
        save(Predictor(predictor.model, record, predictor.preprocessor), folder)
    ranks = f"every rank from {config.min_rank} to {config.max_rank}"
    _write_card(folder, trained, ranks, export, dylora_lines(export.place, config.min_rank))


def _write_card(folder: Path, trained: Trained, ranks: str, export: Export, lines: str) -> None:
    record = trained.predictor.record
    name, task = record.backbone["name"], record.task or "data of its own"
    facts = CardFacts(
        title=f"{Path(name).name} on {task}, {ranks}",
        kind=_KINDS[export.format],
        library=_LIBRARIES[export.format],
        backbone=name,
        task=task,
        ranks=ranks,
        settings=_settings(trained),
        loading=lines,
        command=export.command,
        figures=None if export.budget else figures_of(trained, export.cut),
        cut=export.cut,
        budget=str(export.budget) if export.budget else None,
        budget_metrics=export.budget.metrics if export.budget else {},
    )
    if facts.figures:
        facts.figures.draw(folder, f"{task}, validation")
    write_whole(folder / "README.md", card(facts))
    write_sums(folder)


def _settings(trained: Trained) -> dict[str, Any]:
    config, backbone = rank_state(trained.predictor.model).config, trained.predictor.record.backbone
    found = {
        "backbone": backbone["name"],
        "weights of the backbone (fingerprint)": backbone["fingerprint"],
        "task": trained.predictor.record.task,
        "ranks": f"{config.min_rank} to {config.max_rank}, step {config.rank_step}",
        "alpha": f"{config.alpha:g}",
        "scaling": config.scaling,
        "target modules": ", ".join(config.target_modules or ["queries and values of every attention"]),
    }
    if trained.predictor.record.dtype != "float32":
        found["type of the backbone's weights"] = trained.predictor.record.dtype
    if trained.checkpoint:
        found["checkpoint"] = f"{trained.checkpoint.name}, step {trained.step}"
    return {name: value for name, value in found.items() if value}
