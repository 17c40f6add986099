"""A LoRA of PEFT, read: which layers it adapts and with which factors, and what else was trained."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dylora.adapters.export import PREFIX, PeftAdapter
from dylora.errors import InputError

_STARTS_THAT_LEAVE_THE_BASE = (None, True, False, "gaussian", "eva", "orthogonal")
_VARIANTS = {  # an option of PEFT's configuration, and what it is called where it is on
    "use_dora": "DoRA",
    "lora_bias": "a bias of lora_B (lora_bias)",
    "layer_replication": "replicated layers (layer_replication)",
    "trainable_token_indices": "trained tokens (trainable_token_indices)",
    "target_parameters": "adapted parameters (target_parameters)",
    "use_qalora": "QA-LoRA",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "monteclora_config": "MonteCLoRA",
    "kasa_config": "KaSA",
    "megatron_config": "Megatron layers",
}
_PAIR = re.compile(r"(?P<name>.+)\.lora_(?P<which>[AB])\.weight")


@dataclass(frozen=True)
class Pair:
    """The factors of one layer: it adds `factor * lora_B lora_A x`.

    Attributes:
        down: `lora_A`, (rank, d_in).
        up: `lora_B`, (d_out, rank).
        factor: PEFT's scaling.
    """

    down: Tensor
    up: Tensor
    factor: float


def lora_pairs(adapter: PeftAdapter) -> tuple[dict[str, Pair], dict[str, Tensor]]:
    """The adapted layers of a LoRA of PEFT by name, and the other tensors that were trained (`modules_to_save`).

    `rank_pattern`, `alpha_pattern` and rsLoRA are in the factors; `fan_in_fan_out` is about the base layer alone.

    Args:
        adapter: The content of PEFT's two files.

    Returns:
        The pairs by the name of their layer, and the other tensors by their name in the model.

    Raises:
        InputError: If it is a variant that is no plain low-rank product beside an unchanged layer, which is named, or
            its tensors do not belong together.
    """
    check_plain(adapter.config)
    found: dict[str, dict[str, Tensor]] = {}
    others: dict[str, Tensor] = {}
    for key, tensor in adapter.state.items():
        name = key.removeprefix(PREFIX)
        if match := _PAIR.fullmatch(name):
            found.setdefault(match["name"], {})[match["which"]] = tensor
        elif ".lora_" in name:
            raise _refused(f"tensors of another kind ({name})")
        else:
            others[name] = tensor
    if not found:
        raise InputError("PEFT_DIR", "a folder with a LoRA", "one without lora_A and lora_B", "check the folder")
    return {name: _pair(name, tensors, adapter.config) for name, tensors in found.items()}, others


def check_plain(config: Mapping[str, Any]) -> None:
    """Refuse what is no plain LoRA by its configuration.

    Raises:
        InputError: Naming the variant.
    """
    kind = config.get("peft_type")
    if kind != "LORA":
        raise _refused(f"{kind or 'no peft_type'}")
    for option, name in _VARIANTS.items():
        if config.get(option):
            raise _refused(name)
    if (bias := config.get("bias", "none")) != "none":
        raise _refused(f"trained biases (bias: {bias})")
    start = config.get("init_lora_weights")
    if start not in _STARTS_THAT_LEAVE_THE_BASE:
        raise _refused(f"a start that changes the base weights (init_lora_weights: {start})")


def _pair(name: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Pair:
    down, up = tensors.get("A"), tensors.get("B")
    if down is None or up is None or down.dim() != 2 or up.dim() != 2 or len(down) != up.shape[1]:
        shapes = {which: tuple(tensor.shape) for which, tensor in tensors.items()}
        given = f"{shapes} for {name}"
        raise InputError("PEFT_DIR", "of lora_A (rank, in) and lora_B (out, rank)", given, "check the folder's files")
    rank = len(down)
    alpha = _by_pattern(config.get("alpha_pattern") or {}, name, config["lora_alpha"])
    return Pair(down.float(), up.float(), alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _by_pattern(patterns: Mapping[str, float], name: str, default: float) -> float:
    """The value of the first pattern that matches the end of a name, as PEFT matches them."""
    found = (value for pattern, value in patterns.items() if re.match(rf"(.*\.)?({pattern})$", name))
    return next(found, default)


def _refused(what: str) -> InputError:
    return InputError("PEFT_DIR", "a plain LoRA", what, "merge it in PEFT, or train a LoRA without it")
