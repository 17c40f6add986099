"""An adapted model kept in a folder of dylora."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

from dylora.adapters.active_rank import rank_state
from dylora.adapters.parameters import adapter_state
from dylora.assets import asset_path, resolve_backbone
from dylora.backbones.identity import identify
from dylora.decoding import DecodingConfig
from dylora.deploy.adapter_folder import AdapterRecord, config_fields, layers_of, write_folder
from dylora.deploy.predictor import Predictor
from dylora.errors import InputError
from dylora.runs.options import class_path


def save(
    model: nn.Module | Predictor,
    folder: str | Path,
    *,
    backbone: str | None = None,
    preprocessor: Any = None,  # noqa: ANN401 (a tokenizer or an image processor)
    labels: Sequence[str] = (),
    task: str = "",
    decoding: DecodingConfig | None = None,
) -> Path:
    """Keep what was trained of an adapted model, for `load`: adapters, task head and buffers that training moved.

    Args:
        model: The model that `adapt` gave, trained in any loop; or what `load` gave.
        folder: A new folder, or an empty one.
        backbone: Where the backbone is loaded from; the model's own note of it, if left out.
        preprocessor: Tokenizer or image processor to put beside it.
        labels: Names of the classes in the order of their ids.
        task: Name of the task.
        decoding: How a language model writes text.

    Returns:
        The folder.

    Raises:
        InputError: If the folder has files in it, or the model has no adapters or is merged.
    """
    folder = Path(folder)
    if isinstance(model, Predictor):
        record, preprocessor = model.record, preprocessor or model.preprocessor
        options = asdict(decoding) if decoding else record.decoding
        names = list(labels) or record.labels
        record = replace(record, labels=names, task=task or record.task, decoding=options)
        model = model.model
    else:
        record = record_of(model, backbone=backbone, labels=labels, task=task, decoding=decoding)
    if not record.layers:
        raise InputError("model", "one with adapters", "one that was trained whole", "keep its checkpoint")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("folder", "a new folder or an empty one", f"{str(folder)!r}", "choose another name")
    write_folder(folder, record, adapter_state(model))
    if preprocessor is not None:
        preprocessor.save_pretrained(folder)
    return folder


def record_of(
    model: nn.Module,
    *,
    backbone: str | None = None,
    labels: Sequence[str] = (),
    task: str = "",
    decoding: DecodingConfig | None = None,
    limits: Mapping[str, int] | None = None,
    has_adapters: bool = True,
    gguf_file: str | None = None,
) -> AdapterRecord:
    """What `dylora.json` says of a model.

    Args:
        model: The model.
        backbone: Name of its backbone; the model's own note of it, if left out.
        labels: Names of the classes; those of the model's configuration, if left out.
        task: Name of the task.
        decoding: How it writes text.
        limits: Where inputs are cut.
        has_adapters: Off for a model that was trained whole.
        gguf_file: Name of the GGUF file that the backbone's weights come from.

    Raises:
        InputError: If it has no adapters or is merged.
    """
    config = rank_state(model).config
    name = place_of(backbone or str(getattr(getattr(model, "config", None), "name_or_path", "")))
    who = identify(model, name, adapter_state(model))
    facts = {"revision": who.revision, "fingerprint": who.fingerprint, "quantization": who.quantization}
    return AdapterRecord(
        adapter=config_fields(config),
        layers=layers_of(model) if has_adapters else {},
        model_class=class_path(type(model)),
        model_config=_model_config(model),
        dtype=str(getattr(model, "dtype", "torch.float32")).removeprefix("torch."),
        backbone={"name": name, **facts, "gguf_file": gguf_file},
        task=task,
        labels=list(labels) or _own_labels(model),
        decoding=asdict(decoding) if decoding else None,
        limits=dict(limits or {}),
    )


def place_of(backbone: str) -> str:
    """The name of a backbone by which it is found from anywhere: that of the package's own, a whole path, a hub name.

    >>> place_of("FacebookAI/roberta-base"), place_of(str(asset_path("gpt2")))
    ('FacebookAI/roberta-base', 'builtin/gpt2')
    """
    if not backbone:  # it was loaded from nowhere
        return backbone
    folder = Path(resolve_backbone(backbone)).expanduser()
    if not folder.is_dir():
        return backbone
    for name in ("roberta", "gpt2"):
        if folder.resolve() == asset_path(name).resolve():  # type: ignore[arg-type]
            return f"builtin/{name}"
    return str(folder.resolve())


def _model_config(model: nn.Module) -> dict[str, Any] | None:
    if not isinstance(model, PreTrainedModel):
        return None
    found = json.loads(cast(Any, model.config).to_json_string(use_diff=False))
    found.pop("quantization_config", None)  # stands with the backbone
    return cast(dict[str, Any], found)


def _own_labels(model: nn.Module) -> list[str]:
    """The names of the classes in a model's configuration, unless they are transformers' fill-ins."""
    names = getattr(getattr(model, "config", None), "id2label", None) or {}
    found = [str(names[key]) for key in sorted(names)]
    return [] if any(name.startswith("LABEL_") for name in found) else found
