"""What must be true of an optimizer's state in a checkpoint before it takes the place of the optimizer's own."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from dylora.errors import InputError

_OF_EACH = ("lr", "betas", "eps", "weight_decay")


def check_moments(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Refuse a state of other parameters; a hook of `Optimizer.register_load_state_dict_pre_hook`.

    Args:
        optimizer: An Adam, which has two moments for each parameter.
        state: What its `load_state_dict` is given.

    Raises:
        InputError: If groups or moments are missing, of another shape or type, or negative where they are squares.
    """
    if (fault := _fault_of_groups(optimizer, state) or _fault_of_moments(optimizer, state)) is not None:
        fix = "it was changed after it was written, or is of another model: use another one, last.ckpt or best.ckpt"
        raise InputError("--ckpt_path", "a checkpoint of this optimizer", f"one in which {fault}", fix)


def _fault_of_groups(optimizer: Optimizer, state: Mapping[str, Any]) -> str | None:
    ours, theirs = optimizer.param_groups, state.get("param_groups")
    if not isinstance(theirs, list) or not all(isinstance(group, Mapping) for group in theirs):
        return "the optimizer has no groups of parameters"
    sizes = [[len(group["params"]) for group in ours], [_length(group.get("params")) for group in theirs]]
    if sizes[0] != sizes[1]:
        return f"the optimizer's groups have {sizes[1]} parameters in the place of {sizes[0]}"
    for group, found in zip(ours, theirs, strict=True):
        for name in set(_OF_EACH) & group.keys():
            if not _are_numbers(found.get(name)):
                return f"{name} of the optimizer is {found.get(name)!r:.40}"
    return None


def _fault_of_moments(optimizer: Optimizer, state: Mapping[str, Any]) -> str | None:
    indices = [index for group in state["param_groups"] for index in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = state["state"]
    if not set(moments) <= set(indices):
        return "there are moments of no parameter"
    for index, parameter in zip(indices, parameters, strict=True):
        of_one = moments.get(index)
        if of_one is not None and (fault := _fault_of_one(of_one, parameter)):
            return f"{fault} of the optimizer's parameter {index}"
    return None


def _fault_of_one(moments: Mapping[str, Any], parameter: Tensor) -> str | None:
    if not _are_steps(moments.get("step")):
        return "the number of steps is missing or of another kind"
    for name in ("exp_avg", "exp_avg_sq"):
        value = moments.get(name)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return f"{name} is missing or no tensor of numbers"
        if value.shape != parameter.shape:
            return f"{name} has shape {tuple(value.shape)} in the place of {tuple(parameter.shape)}"
        if name == "exp_avg_sq" and (value < 0).any():
            return f"{name} is negative"
    return None


def _are_steps(value: object) -> bool:
    """One number, or one for each row."""
    numbers = value.tolist() if isinstance(value, Tensor) else value
    return _are_numbers(numbers) and min(numbers if isinstance(numbers, list) else [numbers]) >= 0  # type: ignore[type-var]


def _are_numbers(value: object) -> bool:
    if isinstance(value, tuple | list):
        return bool(value) and all(map(_are_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else -1
