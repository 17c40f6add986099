"""Backbones in 4 or 8 bits (QLoRA's NF4, LLM.int8), through transformers and bitsandbytes."""

from importlib.util import find_spec
from typing import Any, Literal, cast, get_args

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from dylora.errors import InputError

Quantization = Literal["nf4", "int8"]


def quantization_options(quantization: str | None, kept: list[str]) -> dict[str, Any]:
    """What `from_pretrained` is told; nothing for a backbone at its full width.

    Args:
        quantization: `nf4`, `int8`, or None.
        kept: Names of the modules that stay as they are, such as a task head.

    Raises:
        InputError: If it is neither, or the packages that do it are not installed.
    """
    if quantization is None:
        return {}
    if quantization not in get_args(Quantization):
        raise InputError("model.quantization", "nf4 or int8", repr(quantization), "leave it out for full width")
    if missing := [name for name in ("bitsandbytes", "accelerate") if find_spec(name) is None]:
        allowed = f"left out unless {' and '.join(missing)} is installed"
        raise InputError("model.quantization", allowed, quantization, 'pip install "dylora[quantized]"')
    if quantization == "int8":
        config = cast(Any, BitsAndBytesConfig)(load_in_8bit=True, llm_int8_skip_modules=kept)
    else:
        config = cast(Any, BitsAndBytesConfig)(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.float32,
            llm_int8_skip_modules=kept,
        )
    return {"quantization_config": config}


def keep_layout(model: nn.Module) -> None:
    """Have 4-bit layers on a CPU keep their weights as they lie.

    On some processors bitsandbytes packs them anew in the first forward in evaluation mode, into a form that has no
    backward (0.49): neither the next epoch nor the statistics of the two-sided cut could be computed.

    Args:
        model: The model, in place.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            cast(Any, module).support_avx512bf16_for_cpu = False


def quantization_of(model: nn.Module) -> str | None:
    """How a model's weights are packed: `nf4`, `int8`, another method's name, or None for plain ones."""
    config = getattr(getattr(model, "config", None), "quantization_config", None)
    if config is None:
        return None
    found = config if isinstance(config, dict) else config.to_dict()
    if found.get("load_in_8bit"):
        return "int8"
    return str(found.get("bnb_4bit_quant_type") if found.get("load_in_4bit") else found.get("quant_method"))
