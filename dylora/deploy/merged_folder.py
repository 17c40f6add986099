"""Plain folders of transformers, with the adapter merged into the weights."""

import copy
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from dylora.adapters.merging import unload
from dylora.backbones import hub_logs

DType = Literal["float32", "bfloat16", "float16"]


def write_merged(folder: Path, model: PreTrainedModel, rank: int, dtype: DType | None = None) -> None:
    """Write a copy of an adapted model with the adapter merged at a rank; the model stays as it is.

    Args:
        folder: Where to; made if it is not there.
        model: The adapted model, not merged.
        rank: The rank.
        dtype: Type of the written weights, merged before in fp32; None keeps the backbone's.

    Raises:
        InputError: If the rank is outside the range, or a weight cannot be merged into (quantised, tied).
    """
    copied = copy.deepcopy(model)
    if dtype is None and model.dtype == torch.bfloat16:
        dtype = "bfloat16"  # a task head is in fp32 beside it, but a folder has one type
    if dtype is not None:
        _widen(copied)
    plain = unload(copied, rank)
    if dtype is not None:
        plain = plain.to(getattr(torch, dtype))  # type: ignore[arg-type]
    _forget_file(plain)
    with hub_logs.quiet():
        plain.save_pretrained(folder)


def _widen(model: PreTrainedModel) -> None:
    """Hold bf16 in fp32, so that the sum of weight and adapter is rounded once, to the type that is written."""
    for parameter in model.parameters():
        if parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()


def _forget_file(model: PreTrainedModel) -> None:
    """Weights that were read from a GGUF file are plain by now, but transformers would refuse to write them."""
    if getattr(model.config, "quantization_config", None) is not None:
        del model.config.quantization_config
    plain: Any = model
    plain.hf_quantizer, plain.is_quantized = None, False
