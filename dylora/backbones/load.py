"""Pretrained models: from the hub, from a folder, or the tiny ones of the package."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch.utilities import rank_zero_info
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils.import_utils import is_accelerate_available, is_gguf_available

from dylora.assets import resolve_backbone
from dylora.backbones import hub_logs
from dylora.backbones.dtype import BackboneDType, dtype_of
from dylora.backbones.hub import check_hub
from dylora.backbones.quantization import Quantization, keep_layout, quantization_options
from dylora.errors import InputError

_REPLACED_HEAD = "_dylora_replaced_head"  # attribute of a model: the number of outputs of its new head


def load_classifier(
    name: str,
    num_outputs: int,
    keep_head: bool = False,
    quantization: Quantization | None = None,
    dtype: BackboneDType = "fp32",
) -> tuple[PreTrainedModel, list[str]]:
    """A backbone with a new task head for sentences.

    Args:
        name: Hub name, folder, or `builtin/roberta`.
        num_outputs: Width of the head; 1 for regression.
        keep_head: Keep the head of a backbone that was fine-tuned before; else a new one is made.
        quantization: Load the backbone, without the head, in 4 bits (`nf4`) or 8 bits (`int8`).
        dtype: Type of the weights, of the head too.

    Returns:
        The model, in training mode, and the names of the parameters that the backbone did not bring.

    Raises:
        InputError: If there is no such backbone, its folder lacks files or holds weights of other shapes, the hub
            cannot be reached, or the head that is to be kept is missing or has another width.
    """
    held = dtype_of(dtype, quantization)
    config = _config(name, {})  # without a network this alone fails, after one round of retries and not one a file
    packed = _quantized(AutoModelForSequenceClassification, config, quantization) | {"dtype": held}
    return _with_head(AutoModelForSequenceClassification, name, num_outputs, keep_head, **packed)


def load_image_classifier(
    name: str,
    num_outputs: int,
    keep_head: bool = False,
    quantization: Quantization | None = None,
    dtype: BackboneDType = "fp32",
) -> tuple[PreTrainedModel, list[str]]:
    """A backbone with a new task head for images in RGB.

    Args:
        name: Hub name or folder.
        num_outputs: Number of classes.
        keep_head: Keep the head of a backbone that was trained before; else a new one is made.
        quantization: Load the backbone, without the head, in 4 bits (`nf4`) or 8 bits (`int8`).
        dtype: Type of the weights, of the head too.

    Returns:
        The model, in training mode, and the names of the parameters that the backbone did not bring.

    Raises:
        InputError: As for `load_classifier`, and if it is no model of images, or one of other than three channels.
    """
    held = dtype_of(dtype, quantization)
    config = _config(name, {})
    if type(config) not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        allowed = "a model of images (ViT, DeiT, DINOv2, BEiT, Swin, ConvNeXt, ...)"
        raise InputError(
            "model.backbone", allowed, f"{name!r} of type {config.model_type!r}", "choose another backbone"
        )
    if (channels := getattr(config, "num_channels", 3)) != 3:
        given = f"{name!r}, which takes {channels}"
        raise InputError("model.backbone", "a model of images with 3 channels", given, "choose another backbone")
    packed = _quantized(AutoModelForImageClassification, config, quantization) | {"dtype": held}
    return _with_head(AutoModelForImageClassification, name, num_outputs, keep_head, **packed)


def _with_head(
    auto_class: Any,  # noqa: ANN401
    name: str,
    outputs: int,
    keep_head: bool,
    **packed: Any,  # noqa: ANN401
) -> tuple[PreTrainedModel, list[str]]:
    """A model with a head that it brings, or a new one, and the names of the parameters that are new."""
    model, missing, mismatched = _load(auto_class, name, num_labels=outputs, **packed)
    head = _head_names(model)
    if keep_head:
        _check_kept_head(name, head, missing, mismatched)
    elif not set(head) <= set(missing):
        _make_anew(model, head)
        missing = sorted({*missing, *head})
        setattr(model, _REPLACED_HEAD, outputs)
    return model, missing


def say_replaced_head(model: PreTrainedModel, name: str) -> None:
    """Say that a training starts with a new head in the place of the one that the backbone brought, if it does.

    Args:
        model: What `load_classifier` or `load_image_classifier` gave.
        name: Name of the backbone.
    """
    outputs = getattr(model, _REPLACED_HEAD, None)
    if outputs is not None:
        rank_zero_info(
            f"{name} brings the head of another task; a new one with {outputs} outputs is trained "
            "(--model.keep_head true keeps one of equal width)."
        )


def load_generator(
    name: str,
    gguf_file: str | None = None,
    quantization: Quantization | None = None,
    dtype: BackboneDType = "fp32",
) -> PreTrainedModel:
    """A backbone that writes text: a causal language model, or an encoder-decoder model.

    Args:
        name: Hub name, folder, or `builtin/gpt2`.
        gguf_file: Name of a GGUF file in that folder or hub repository, read in place of its other weights.
        quantization: Load the backbone, without its output embedding, in 4 bits (`nf4`) or 8 bits (`int8`).
        dtype: Type of the weights.

    Returns:
        The model, in training mode; `model.config.is_encoder_decoder` says which of the two it is.

    Raises:
        InputError: If there is no such backbone, it has no language-model head or its files lack weights for it, or
            the hub cannot be reached.
    """
    held = dtype_of(dtype, quantization)
    gguf = {}
    if gguf_file is not None:
        _check_gguf(name, gguf_file)
        gguf["gguf_file"] = gguf_file
    config = _config(name, gguf)
    kind = _language_model_class(name, config)
    packed = _quantized(kind, config, quantization)
    model, missing, _ = _load(kind, name, config=config, dtype=held, **gguf, **packed)
    if missing:
        given = f"{name!r}, whose weights lack {missing[0]}"
        fix = "use weights that were saved with their language-model head"
        raise InputError("model.backbone", f"weights for all of {type(model).__name__}", given, fix)
    return model


def load_as(
    kind: type[PreTrainedModel],
    name: str,
    config: PreTrainedConfig,
    *,
    dtype: str = "float32",
    revision: str | None = None,
    gguf_file: str | None = None,
    quantization: Quantization | None = None,
) -> PreTrainedModel:
    """A model of a known class and configuration; parts that the weights lack (a task head) are at random values.

    Args:
        kind: The class.
        name: Hub name, folder, or one of the package's.
        config: The configuration, which says how wide a task head is.
        dtype: Type of the weights.
        revision: The hub's commit; None for the newest.
        gguf_file: Name of a GGUF file, read in place of the other weights.
        quantization: `nf4`, `int8`, or None.

    Raises:
        InputError: If there is no such backbone, or its weights do not fit the class.
    """
    options: dict[str, Any] = {} if gguf_file is None else {"gguf_file": gguf_file}
    if revision is not None and resolve_backbone(name) == name and not Path(name).is_dir():
        options["revision"] = revision
    packed = _quantized(kind, config, quantization)
    model, _, _ = _load(kind, name, config=config, dtype=getattr(torch, dtype), **options, **packed)
    return model


def _quantized(kind: Any, config: PreTrainedConfig, quantization: Quantization | None) -> dict[str, Any]:  # noqa: ANN401
    """How to load a quantised backbone; what stands outside the backbone (head, output embedding) keeps its width."""
    if quantization is None:
        return {}
    with torch.device("meta"), hub_logs.quiet():
        empty = (kind.from_config if hasattr(kind, "from_config") else kind)(config)
    outside = sorted({name.rpartition(".")[0] for name in _head_names(empty)} | {"lm_head"})
    return quantization_options(quantization, outside)


def _load(auto_class: Any, name: str, **kwargs: Any) -> tuple[PreTrainedModel, list[str], list[str]]:  # noqa: ANN401
    """A model, the names of the parameters that its weights lack, and of those of another shape in them."""
    source = resolve_backbone(name)
    options = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True, **kwargs}
    try:
        with hub_logs.quiet():
            model, info = auto_class.from_pretrained(source, **options)
    except Exception as error:  # whatever the libraries raise about files that are not a model
        raise _explain(name, source, error, kwargs.get("gguf_file")) from error
    missing, mismatched = sorted(info["missing_keys"]), sorted(key for key, *_ in info["mismatched_keys"])
    _check_weights(name, model, missing)
    _check_shapes(name, model, mismatched)
    _check_finite(name, model)
    _check_quantized(name, model)
    keep_layout(model)
    return model.train(), missing, mismatched


def _config(name: str, gguf: dict[str, str]) -> PreTrainedConfig:
    source = resolve_backbone(name)
    check_hub(source)
    try:
        with hub_logs.quiet():
            config: PreTrainedConfig = AutoConfig.from_pretrained(source, **gguf)
    except Exception as error:  # as above
        raise _explain(name, source, error, gguf.get("gguf_file")) from error
    return config


def _language_model_class(name: str, config: PreTrainedConfig) -> Any:  # noqa: ANN401
    kind = type(config)
    if config.is_encoder_decoder and kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        return AutoModelForSeq2SeqLM
    # Encoders are in the list of causal models too, for a use as decoders that they were not trained for.
    is_encoder = kind in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    if config.is_encoder_decoder or is_encoder or kind not in MODEL_FOR_CAUSAL_LM_MAPPING:
        allowed = "a causal language model (GPT-2, Llama, ...) or an encoder-decoder model (T5, BART, ...)"
        given = f"{name!r} of type {config.model_type!r}, which has no language-model head to write text with"
        raise InputError("model.backbone", allowed, given, "choose another backbone, builtin/gpt2 for a first try")
    return AutoModelForCausalLM


def _check_gguf(name: str, gguf_file: str) -> None:
    if not (is_gguf_available() and is_accelerate_available()):
        allowed = "left out unless the packages that read GGUF are installed"
        raise InputError("model.gguf_file", allowed, repr(gguf_file), 'pip install "dylora[gguf]"')
    folder = Path(name)
    if folder.is_dir() and not (folder / gguf_file).is_file():
        present = ", ".join(sorted(path.name for path in folder.glob("*.gguf"))) or "no GGUF file"
        raise InputError("model.gguf_file", f"a file in {name}", f"{gguf_file!r}; it has {present}", "check the name")


def _check_weights(name: str, model: PreTrainedModel, missing: list[str]) -> None:
    """Refuse weights that leave parts of the backbone, other than a pooler, at random values."""
    prefix = f"{model.base_model_prefix}."
    lost = [key for key in missing if key.startswith(prefix) and ".pooler." not in key]
    if lost:
        given = f"{name!r}, whose weights lack {len(lost)} of them, {lost[0]} first"
        raise InputError("model.backbone", f"weights for all of {type(model).__name__}", given, "use matching weights")


def _check_shapes(name: str, model: PreTrainedModel, mismatched: list[str]) -> None:
    """Refuse weights whose shapes do not fit, other than those of a classifier's head."""
    embedding = cast(Any, model).get_output_embeddings()
    head = _head_names(model) if embedding is None else []  # of a language model it is part of the backbone
    lost = [key for key in mismatched if key not in head]
    if lost:
        given = f"{name!r}, in whose weights {len(lost)} have other shapes, {lost[0]} first"
        fix = "use the config.json that belongs to the weights"
        raise InputError("model.backbone", f"weights for {type(model).__name__} of its config.json", given, fix)


def _check_finite(name: str, model: PreTrainedModel) -> None:
    """Refuse weights that are no numbers: all that is trained on them would be none either."""
    for key, weight in model.named_parameters():
        # A sum needs no memory; that of finite weights is finite in fp32, whatever their type.
        is_plain = weight.is_floating_point() and not weight.is_meta
        if is_plain and not weight.detach().sum(dtype=torch.float32).isfinite():
            given = f"{name!r}, in whose {key} some are not"
            raise InputError("model.backbone", "weights that are finite numbers", given, "fetch or save them again")


def _check_quantized(name: str, model: PreTrainedModel) -> None:
    """Refuse a method of quantisation that transformers does not know and passes over."""
    asked = getattr(model.config, "quantization_config", None)
    if asked is not None and getattr(model, "hf_quantizer", None) is None:
        method = asked.get("quant_method") if isinstance(asked, dict) else asked
        given = f"quant_method {method!r} in its config.json"
        raise InputError("model.backbone", "quantised in a way that transformers knows", given, f"correct {name}")


def _check_kept_head(name: str, head: list[str], missing: list[str], mismatched: list[str]) -> None:
    allowed = "off, or on for a backbone with a head of the task's width"
    if lost := [key for key in head if key in missing]:
        given = f"on for {name!r}, whose weights lack {lost[0]}"
        raise InputError("model.keep_head", allowed, given, "leave it out, for a new head")
    if mismatched:
        given = f"on for {name!r}, whose {mismatched[0]} has another shape"
        raise InputError("model.keep_head", allowed, given, "leave it out, for a new head")


def _head_names(model: PreTrainedModel) -> list[str]:
    """The parameters outside the backbone."""
    prefix = f"{model.base_model_prefix}."
    return [name for name, _ in model.named_parameters() if not name.startswith(prefix)]


def _make_anew(model: PreTrainedModel, names: list[str]) -> None:
    """Start parameters as those of a model that was never trained."""
    fresh = type(model)(model.config)
    for name in names:
        new = fresh.get_parameter(name).data
        model.get_parameter(name).data = new.to(model.get_parameter(name).dtype)


def _explain(name: str, source: str, error: Exception, gguf_file: str | None = None) -> InputError:
    if isinstance(error, InputError):
        return error
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    reason = reason if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {reason}"
    folder = Path(source)
    if _is_dir(folder) and gguf_file:
        given = f"{gguf_file!r} in {name}, which cannot be read ({reason})"
        return InputError(
            "model.gguf_file", "a GGUF file of a language model", given, "fetch it again if it is damaged"
        )
    if _is_dir(folder):
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        allowed = "a folder with config.json and weights (model.safetensors)"
        return InputError("model.backbone", allowed, f"{name!r}, which holds {present}", f"put them there ({reason})")
    fix = "offline, give a local folder (--model.backbone DIR) or fill the hub's cache first and set HF_HUB_OFFLINE=1"
    return InputError("model.backbone", "a folder or a hub name that can be reached", repr(name), fix)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False
