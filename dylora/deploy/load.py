"""A trained model for use: from a run, a checkpoint or a folder of dylora."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel

from dylora.adapters.active_rank import rank_state, set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.parameters import adapter_state
from dylora.backbones.dtype import train_in_fp32
from dylora.backbones.identity import identify
from dylora.backbones.load import load_as
from dylora.backbones.processors import processor_for
from dylora.backbones.tokenizers import tokenizer_for
from dylora.deploy.adapter_folder import CONFIG, AdapterRecord, layers_of, read_folder
from dylora.deploy.predictor import Predictor
from dylora.deploy.save import place_of, record_of
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.runs.checkpoints import KEY, read_checkpoint
from dylora.runs.folders import CHECKPOINTS, checkpoint_of
from dylora.runs.folders import CONFIG as RUN_CONFIG
from dylora.runs.options import class_at

_TOKENIZER, _PROCESSOR = "tokenizer_config.json", "preprocessor_config.json"


def load(
    path: str | Path, rank: int | None = None, *, model: nn.Module | None = None, backbone: str | None = None
) -> Predictor:
    """A trained model that predicts at any rank.

    Args:
        path: A run's folder (its best checkpoint is taken), a checkpoint file, or a folder that `save` or `export`
            wrote.
        rank: The rank to begin with; the largest, if left out.
        model: A model without adapters to put a folder's adapters into, in place, in the place of one that is built
            from the folder: the way for a model of one's own.
        backbone: Where the backbone lies, in the place of what the file says.

    Returns:
        The model with its tokenizer or image processor and the names of its classes; calling it predicts.

    Raises:
        InputError: If there is nothing of dylora's, a file is damaged, the backbone is not to be found or is another
            one, or the rank is outside the range.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError("path", "a run, a checkpoint or a folder", f"{str(path)!r}, which does not exist", "check it")
    if place.is_dir() and ((place / CONFIG).is_file() or not _is_run(place)):
        loaded = _of_folder(place, model, backbone)
    elif model is not None:
        raise InputError("model", "left out for a run or a checkpoint", str(path), "dylora.save makes a folder of it")
    else:
        loaded = _of_checkpoint(_checkpoint(place), backbone)
    if rank is not None:
        loaded.set_rank(rank)
    return loaded


def predictor_of(
    module: EveryRankModule,
    labels: Sequence[str] | None = None,
    limits: Mapping[str, int] | None = None,
    text_form: Mapping[str, Any] | None = None,
) -> Predictor:
    """A predictor with a module's model.

    Args:
        module: The module.
        labels: Names of the classes; the module's own, if left out.
        limits: Where inputs are cut, as `AdapterRecord.limits`.
        text_form: As `AdapterRecord.text_form`.
    """
    gguf_file = module.made_with.get("gguf_file")
    model = module.model
    name = place_of(module.identity["backbone"]["name"])
    record = record_of(
        model,
        backbone=name,
        labels=labels or module.label_names,
        task=module.identity["task"],
        decoding=getattr(module, "decoding", None),
        limits=limits,
        has_adapters=module.method.has_adapters,
        gguf_file=gguf_file,
    )
    record = replace(record, text_form=dict(text_form or {}))
    return Predictor(model, record, _preprocessor(model, name, gguf_file))


def _is_run(folder: Path) -> bool:
    return (folder / CHECKPOINTS).is_dir() or (folder / RUN_CONFIG).is_file()


def _checkpoint(place: Path) -> Path:
    if place.is_file():
        return place
    if not any((place / CHECKPOINTS).glob("*.ckpt")):
        fix = "train it to the end of an epoch, or give a checkpoint file"
        raise InputError("path", "a run with a checkpoint", f"{str(place)!r}, which has none", fix)
    return checkpoint_of(place)


def _of_checkpoint(path: Path, backbone: str | None) -> Predictor:
    changes: dict[str, Any] = {} if backbone is None else {"backbone": backbone}
    module = EveryRankModule.load_from_checkpoint(path, **changes)
    entry = read_checkpoint(path)[KEY]
    return predictor_of(
        module, labels=entry.get("labels"), limits=entry.get("limits"), text_form=entry.get("text_form")
    )


def _of_folder(folder: Path, model: nn.Module | None, backbone: str | None) -> Predictor:
    record, state = read_folder(folder)
    config = record.config()
    base = _built(record, backbone) if model is None else model
    adapt(base, config)
    put_into(base, state, record)
    gguf_file = record.backbone.get("gguf_file")
    name = backbone or record.backbone["name"]
    preprocessor = _saved_preprocessor(folder) or (None if model is not None else _preprocessor(base, name, gguf_file))
    return Predictor(base, record, preprocessor)


def _built(record: AdapterRecord, backbone: str | None) -> PreTrainedModel:
    """The backbone that a folder names, with a head of the right width."""
    name = backbone or record.backbone["name"]
    fix = "give it: dylora.load(folder, model=…)"
    if record.model_config is None or not record.model_class.startswith("transformers."):
        raise InputError("model", "given for a class of one's own", f"none for {record.model_class}", fix)
    if not name:
        raise InputError("model", "given for a backbone that was loaded from nowhere", "none", fix)
    kind = class_at(record.model_class, CONFIG)
    if not issubclass(kind, PreTrainedModel):
        raise InputError(CONFIG, "of a model of transformers", record.model_class, "use a folder that dylora wrote")
    config = cast(Any, kind.config_class).from_dict(record.model_config)
    about = {key: record.backbone.get(key) for key in ("revision", "gguf_file", "quantization")}
    try:
        return load_as(kind, name, config, dtype=record.dtype, **about)  # type: ignore[arg-type]
    except InputError as error:
        fix = "give dylora.load(folder, backbone=…) where it lies, or model=… with it"
        raise InputError("path", "of a backbone that can be loaded", f"{name!r} ({error})", fix) from error


def _check_layers(model: nn.Module, record: AdapterRecord) -> None:
    if layers_of(model) != record.layers:
        differing = sorted({*layers_of(model)} ^ {*record.layers}) or ["other slices of them"]
        given = f"{type(model).__name__}, in which {len(differing)} differ, {differing[0]} first"
        raise InputError("model", f"one with the adapted layers of {record.model_class}", given, "give the same model")


def put_into(model: nn.Module, state: dict[str, Tensor], record: AdapterRecord) -> None:
    """Put the trained weights of a folder into an adapted model, in place, once all is known to fit.

    Args:
        model: The model, with the adapters that the folder describes.
        state: What was trained, by its name in the model.
        record: What the folder says.

    Raises:
        InputError: If it is another model, has other layers adapted, or another backbone.
    """
    _check_layers(model, record)
    own = model.state_dict(keep_vars=True)
    wrong = sorted({*adapter_state(model)} - state.keys()) + [
        name for name, tensor in state.items() if name not in own or own[name].shape != tensor.shape
    ]
    if wrong:
        given = f"{type(model).__name__}, in which {len(wrong)} differ, {wrong[0]} first"
        raise InputError("model", "one with the trained weights of the folder", given, "give the same model")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in state)
    found = identify(model, "", state).fingerprint
    if found != record.backbone["fingerprint"]:
        allowed = f"the backbone {record.backbone['name']!r} (weights {record.backbone['fingerprint']})"
        raise InputError("model", allowed, f"another one (weights {found})", "give the one that it was trained on")
    if all(tensor.dtype != torch.bfloat16 for tensor in state.values()):
        train_in_fp32(model)
    model.load_state_dict(state, strict=False)
    set_rank(model, rank_state(model).config.max_rank)


def _saved_preprocessor(folder: Path) -> Any:  # noqa: ANN401
    if (folder / _PROCESSOR).is_file():
        return processor_for(str(folder))
    return AutoTokenizer.from_pretrained(folder) if (folder / _TOKENIZER).is_file() else None


def _preprocessor(model: nn.Module, name: str, gguf_file: str | None = None) -> Any:  # noqa: ANN401
    """The tokenizer of a backbone, or for images its processor; None where it has none."""
    try:
        if getattr(model, "main_input_name", "") == "pixel_values":
            return processor_for(name)
        return tokenizer_for(name, gguf_file)
    except (InputError, OSError, ValueError):
        return None
