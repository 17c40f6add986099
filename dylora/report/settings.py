"""Table 8: the runs' settings beside the paper's."""

from collections.abc import Mapping, Sequence
from typing import Any

from dylora.report.printed import TITLES, printed_rows
from dylora.report.results import Result, groups
from dylora.report.table import NOTHING, Table
from dylora.runs.folders import read_config

_OPTIONS = {
    "optimizer": "model.optimizer",
    "warmup_ratio": "model.warmup_ratio",
    "warmup_steps": "model.warmup_steps",
    "batch_size": "data.train_batch_size",
    "epochs": "trainer.max_epochs",
    "learning_rate": "model.learning_rate",
    "weight_decay": "model.weight_decay",
    "lora_rank": "model.adapter.max_rank",
    "lora_alpha": "model.adapter.alpha",
    "lora_dropout": "model.adapter.dropout",
    "label_smoothing": "model.label_smoothing",
    "max_sequence_length": "data.max_length",
    "clip": "trainer.gradient_clip_val",
    "seeds": "seed_everything",
}
_ALWAYS = {"lr_scheduler": "linear", "adam_beta2": "0.999", "correct_bias": "True"}


def settings_table(results: Sequence[Result]) -> Table:
    """A row a setting, a column a system; several values where tasks or seeds differ.

    The part for GPT-2 is compared with runs on text sets, that for RoBERTa with all others.
    """
    configs = [(result, read_config(result.folder)) for result in results]
    systems = groups(configs, lambda pair: pair[0].record.system)
    labels = [pairs[0][0].record.label for pairs in systems.values()]
    table = Table(f"Table 8: {TITLES['8']}", ["Model", "Setting", "Paper", *labels], [], [], legend="")
    for row in printed_rows("8"):
        on_text = row["model"].startswith("GPT-2")
        values = [
            _values([config for _, config in pairs if is_text(config) == on_text], row["parameter"])
            for pairs in systems.values()
        ]
        if all(value == NOTHING for value in values) and not any(is_text(c) == on_text for _, c in configs):
            continue
        table.rows.append([row["model"], row["label"], row["value"], *values])
        named = dict(zip(systems, values, strict=True))
        where = {"model": row["model"], "parameter": row["parameter"], "paper": row["value"]}
        table.tidy += [{**where, "system": system, "value": value} for system, value in named.items()]
    table.notes.append(f"{NOTHING}: no option of a run, or not set")
    return table


def is_text(config: Mapping[str, Any]) -> bool:
    """Whether a run was one of text generation, which files of earlier versions say by naming a `set`."""
    model = config.get("model") or {}
    return bool(config.get("set")) or str(model.get("class_path")).endswith("GenerationModule")


def _values(configs: Sequence[Mapping[str, Any]], parameter: str) -> str:
    if not configs:
        return NOTHING
    if parameter in _ALWAYS:
        return _ALWAYS[parameter]
    found = {_look_up(config, _OPTIONS[parameter]) for config in configs} if parameter in _OPTIONS else {None}
    values = sorted((value for value in found if value is not None), key=lambda value: (str(type(value)), value))
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values) or NOTHING


def _look_up(config: Mapping[str, Any], option: str) -> Any:  # noqa: ANN401
    value: Any = config
    for key in option.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
