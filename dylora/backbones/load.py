"""Pretrained models: from the hub, from a folder, or the tiny ones of the package."""

import struct
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils.import_utils import is_accelerate_available, is_gguf_available

from dylora.assets import resolve_backbone
from dylora.backbones import hub_logs
from dylora.errors import InputError

_UNREADABLE = (OSError, ValueError, struct.error)


def load_classifier(name: str, num_outputs: int) -> tuple[PreTrainedModel, list[str]]:
    """A backbone with a new task head for sentences.

    Args:
        name: Hub name, folder, or `builtin/roberta`.
        num_outputs: Width of the head; 1 for regression.

    Returns:
        The model, in fp32 and training mode, and the names of the parameters that the backbone did not bring.

    Raises:
        InputError: If there is no such backbone, its folder lacks files, or the hub cannot be reached.
    """
    _config(name, {})  # without a network this alone fails, after one round of retries and not one for every file
    return _load(AutoModelForSequenceClassification, name, num_labels=num_outputs)


def load_generator(name: str, gguf_file: str | None = None) -> PreTrainedModel:
    """A backbone that writes text: a causal language model, or an encoder-decoder model.

    Args:
        name: Hub name, folder, or `builtin/gpt2`.
        gguf_file: Name of a GGUF file in that folder or hub repository, read in place of its other weights.

    Returns:
        The model, in fp32 and training mode; `model.config.is_encoder_decoder` says which of the two it is.

    Raises:
        InputError: If there is no such backbone, it has no language-model head or its files lack weights for it, or
            the hub cannot be reached.
    """
    gguf = {}
    if gguf_file is not None:
        _check_gguf(name, gguf_file)
        gguf["gguf_file"] = gguf_file
    config = _config(name, gguf)
    model, missing = _load(_language_model_class(name, config), name, config=config, **gguf)
    if missing:
        given = f"{name!r}, whose weights lack {missing[0]}"
        fix = "use weights that were saved with their language-model head"
        raise InputError("model.backbone", f"weights for all of {type(model).__name__}", given, fix)
    return model


def _load(auto_class: Any, name: str, **kwargs: Any) -> tuple[PreTrainedModel, list[str]]:  # noqa: ANN401
    source = resolve_backbone(name)
    try:
        with hub_logs.quiet():
            model, info = auto_class.from_pretrained(
                source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=False, **kwargs
            )
    except _UNREADABLE as error:
        raise _explain(name, source, error, kwargs.get("gguf_file")) from error
    missing = sorted(info["missing_keys"])
    _check_weights(name, model, missing)
    return model.train(), missing


def _config(name: str, gguf: dict[str, str]) -> PreTrainedConfig:
    source = resolve_backbone(name)
    try:
        with hub_logs.quiet():
            config: PreTrainedConfig = AutoConfig.from_pretrained(source, **gguf)
    except _UNREADABLE as error:
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


def _explain(name: str, source: str, error: Exception, gguf_file: str | None = None) -> InputError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    folder = Path(source)
    if folder.is_dir() and gguf_file:
        given = f"{gguf_file!r} in {name}, which cannot be read ({reason})"
        return InputError(
            "model.gguf_file", "a GGUF file of a language model", given, "fetch it again if it is damaged"
        )
    if folder.is_dir():
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        allowed = "a folder with config.json and weights (model.safetensors)"
        return InputError("model.backbone", allowed, f"{name!r}, which holds {present}", f"put them there ({reason})")
    fix = "offline, give a local folder (--model.backbone DIR) or fill the hub's cache first and set HF_HUB_OFFLINE=1"
    return InputError("model.backbone", "a folder or a hub name that can be reached", repr(name), fix)
