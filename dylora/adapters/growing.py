"""An adapter that starts from another one of a smaller range and computes the same at every rank of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import rank_state
from dylora.adapters.functional import scale
from dylora.adapters.parameters import adapter_state
from dylora.errors import InputError

_A, _B = "lora_A", "lora_B"


@dataclass(frozen=True)
class Growth:
    """What was taken over.

    Attributes:
        old_rank: The largest rank of the adapter that it starts from.
        taken: Names of the other trained parameters and buffers, such as those of a task head, that fit.
        left: Names of those that do not fit and start anew.
    """

    old_rank: int
    taken: tuple[str, ...]
    left: tuple[str, ...]


@torch.no_grad()
def grow_(module: nn.Module, weights: Mapping[str, Tensor], adapter: Mapping[str, Any]) -> Growth:
    """Start an adapter from one of a smaller range, or of the same, in place.

    The old rows of `lora_A` and columns of `lora_B` come first; the new rows stay as they were drawn and the new
    columns are zero, so that every rank above the old range starts as the old `max_rank`, up to the scaling. `lora_B`
    is multiplied by the ratio of the old scaling to the new one, which is one number for all ranks as long as the rule
    is the same: `alpha/max_rank` by new / old max_rank, `alpha/sqrt(b*max_rank)` by its root, `alpha/b` by nothing.
    With `alpha/max_rank` every new rank then computes what the old `max_rank` did; with the other two rules it does
    times the rule's own factor, b_old / b or its root, as those rules have it.

    Args:
        module: A module with adapters, as they are before training.
        weights: What was trained, by the names of `adapter_state` of a module of the same kind.
        adapter: `max_rank`, `alpha` and `scaling` of the old adapter.

    Returns:
        What was taken over. A module that the old adapter did not adapt starts at zero.

    Raises:
        InputError: If the old range is larger, the rule of the scaling another one, or the old adapter has modules that
            the new one lacks or that are of another shape.
    """
    config, old_rank, old_scaling = rank_state(module).config, int(adapter["max_rank"]), adapter["scaling"]
    if old_rank > config.max_rank:
        fix = f"set --model.adapter.max_rank {old_rank} or more"
        raise InputError("--init_from", f"an adapter of max_rank {config.max_rank} or less", f"one of {old_rank}", fix)
    if old_scaling != config.scaling:
        fix = f"set --model.adapter.scaling {old_scaling}; no factors compute the same at every rank under both"
        raise InputError("--init_from", f"an adapter with scaling {config.scaling}", f"one with {old_scaling}", fix)
    ours = adapter_state(module)
    missing = sorted(name for name in weights if _is_factor(name) and name not in ours)
    if missing:
        fix = "set the same --model.adapter.target_modules, or more"
        raise InputError("--init_from", "an adapter of modules that are adapted here too", missing[0], fix)
    ratio = scale(old_scaling, adapter["alpha"], 1, old_rank) / scale(config.scaling, config.alpha, 1, config.max_rank)
    rest = [name for name in ours if not _is_factor(name)]
    fitting = [name for name in rest if name in weights and weights[name].shape == ours[name].shape]
    for name, tensor in weights.items():
        if _is_factor(name):
            _check_width(name, tensor, ours[name])
    for name, tensor in weights.items():
        if name.endswith(_A):
            ours[name][:old_rank] = tensor.to(ours[name])
        elif name.endswith(_B):
            ours[name].zero_()
            ours[name][:, :old_rank] = tensor.to(ours[name]) * ratio
    for name in fitting:
        ours[name].copy_(weights[name])
    return Growth(old_rank, tuple(fitting), tuple(name for name in rest if name not in fitting))


def _is_factor(name: str) -> bool:
    return name.endswith((_A, _B))


def _check_width(name: str, old: Tensor, new: Tensor) -> None:
    place = 1 if name.endswith(_A) else 0
    if old.shape[place] != new.shape[place]:
        given = f"{name} of width {old.shape[place]}"
        raise InputError(
            "--init_from", f"an adapter of this backbone ({new.shape[place]} wide)", given, "choose another"
        )
