"""The module that evaluates a folder of dylora at every rank: how it is made, and how the folder is put into it."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel

from dylora.backbones.dtype import dtype_name
from dylora.deploy.adapter_folder import CONFIG, AdapterRecord, read_folder
from dylora.deploy.load import put_into
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule
from dylora.modules.image_classification import ImageClassificationModule
from dylora.runs.options import class_at


def module_of(record: AdapterRecord, trained: Iterable[str]) -> tuple[type[EveryRankModule], dict[str, Any]]:
    """The class of the module for what a folder holds, and its options in plain types.

    Task and labels are not among them: they are those of the data that it is evaluated on.

    Args:
        record: What the folder says.
        trained: Names of what was trained; a head that is not among them is the backbone's own.

    Returns:
        The class, and its options: `adapter`, and what the folder knows of `backbone`, `keep_head`, `quantization`,
        `backbone_dtype`, `gguf_file` and the decoding.

    Raises:
        InputError: If the folder's model is none of sentences, texts or images that can be loaded by name.
    """
    fix = "evaluate it in Python: dylora.load(folder, model=…)"
    if not record.model_class.startswith("transformers.") or not record.backbone["name"]:
        allowed = "a folder whose model can be loaded by name"
        raise InputError("--ckpt_path", allowed, f"one of {record.model_class}, which was made in Python", fix)
    model = class_at(record.model_class, CONFIG)
    kind = _kind(model)
    if kind is None:
        allowed = "a folder with a model of sentences, texts or images"
        raise InputError("--ckpt_path", allowed, f"one with {model.__name__}", fix)
    options: dict[str, Any] = {"adapter": record.adapter, "backbone": record.backbone["name"]}
    options["quantization"] = record.backbone.get("quantization")
    options["backbone_dtype"] = dtype_name(getattr(torch, record.dtype)) or "fp32"
    if kind is GenerationModule:
        return kind, {**options, "gguf_file": record.backbone.get("gguf_file"), **_decoding(record)}
    return kind, {**options, "keep_head": not _has_head(model, trained)}


def put_folder_into(module: EveryRankModule, folder: Path) -> None:
    """Put what was trained into a module that `module_of` describes, in place.

    Raises:
        InputError: If a file is damaged, or the module has another backbone, other layers, classes or ranks.
    """
    record, state = read_folder(folder)
    labels = list(module.label_names)
    if record.labels and labels != record.labels:
        allowed = f"data of the folder's classes ({', '.join(record.labels)})"
        raise InputError(
            "--data", allowed, ", ".join(labels) or "scores", "leave --data.labels out, or choose the data"
        )
    width = _head_width(record)
    own = getattr(module.model.config, "num_labels", None)
    if width is not None and own != width:
        fix = "choose data with as many classes; one output is a score"
        raise InputError("--data", f"data for a head with {width} outputs", f"data for one with {own}", fix)
    if str(module.model.dtype) != f"torch.{record.dtype}":
        _cast_backbone(module.model, record.dtype)
    put_into(module.model, state, record)


def _kind(model: type) -> type[EveryRankModule] | None:
    if "ForSequenceClassification" in model.__name__:
        return SequenceClassificationModule
    if "ForImageClassification" in model.__name__:
        return ImageClassificationModule
    return GenerationModule if issubclass(model, GenerationMixin) else None


def _has_head(model: type, trained: Iterable[str]) -> bool:
    assert issubclass(model, PreTrainedModel)
    return any(not name.startswith(f"{model.base_model_prefix}.") for name in trained)


def _head_width(record: AdapterRecord) -> int | None:
    """Outputs of the head of a classifier; None for a model that writes text."""
    model = class_at(record.model_class, CONFIG)
    names = (record.model_config or {}).get("id2label")
    return len(names) if names and _kind(model) is not GenerationModule else None


def _decoding(record: AdapterRecord) -> dict[str, Any]:
    """How the folder says that text is written, as options; empty where it does not, and the data set decides."""
    known = inspect.signature(GenerationModule.__init__).parameters
    found = {name: value for name, value in (record.decoding or {}).items() if name in known}
    return {"decoding": "sampling" if (record.decoding or {}).get("sample") else "greedy", **found} if found else {}


def _cast_backbone(model: nn.Module, dtype: str) -> None:
    """Give all but the adapters the type that they were trained beside."""
    for name, parameter in model.named_parameters():
        if "lora_" not in name and parameter.is_floating_point():
            parameter.data = parameter.data.to(getattr(torch, dtype))
