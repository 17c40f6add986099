"""What must be true of the content of a checkpoint before anything of it is used, whoever wrote it."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_TYPES: dict[str, type | tuple[type, ...]] = {
    "state_dict": Mapping,
    "global_step": int,
    "epoch": int,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": Mapping,
    "loops": Mapping,
}
_NEEDED = ("state_dict", "global_step")
_ENTRY_TYPES: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "task": str,
    "method": str,
    "backbone": Mapping,
    "adapter": Mapping,
    "module": Mapping,
    "labels": list,
    "limits": Mapping,
    "text_form": Mapping,
}
_ENTRY_NEEDED = ("format", "task", "backbone", "adapter")


def fault_of(checkpoint: Mapping[str, Any], entry: Mapping[str, Any]) -> str | None:
    """What is wrong with a checkpoint of dylora, in words; None if nothing is.

    Args:
        checkpoint: All of it.
        entry: Its own entry of dylora.
    """
    if not isinstance(entry, Mapping):
        return "its entry of dylora is no mapping"
    return (
        ill_typed(checkpoint, _TYPES, _NEEDED)
        or ill_typed(entry, _ENTRY_TYPES, _ENTRY_NEEDED)
        or _fault_of_names(entry)
        or _fault_of_tensors(checkpoint)
    )


def ill_typed(content: Mapping[str, Any], types: Mapping[str, Any], needed: tuple[str, ...]) -> str | None:
    """The first field that is needed and missing, of another type, or a negative number; None if there is none.

    Args:
        content: The fields.
        types: Which type each may have.
        needed: Names of those that have to be there.
    """
    for name in needed:
        if name not in content:
            return f"{name} is missing"
    for name, kind in types.items():
        value = content.get(name)
        if name in content and (not isinstance(value, kind) or isinstance(value, bool)):
            return f"{name} is of type {type(value).__name__}"
        if isinstance(value, int) and value < 0:
            return f"{name} is negative"
    return None


def non_finite(checkpoint: Mapping[str, Any]) -> str | None:
    """Place of the first weight or moment of the optimizer that is NaN or infinite; None if all are finite."""
    return next((place for place, tensor in _numbers(checkpoint) if not is_finite(tensor)), None)


def is_finite(tensor: Tensor) -> bool:
    """Whether no value is NaN or infinite; in one pass that allocates nothing."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = torch.aminmax(tensor.detach())  # a NaN is passed on
    return bool(torch.isfinite(low) & torch.isfinite(high))


def _fault_of_names(entry: Mapping[str, Any]) -> str | None:
    for name in ("name", "fingerprint"):
        if not isinstance(entry["backbone"].get(name), str):
            return f"backbone.{name} is missing or no text"
    if not all(isinstance(label, str) for label in entry.get("labels", [])):
        return "a label is no text"
    if not all(type(limit) is int and limit > 0 for limit in entry.get("limits", {}).values()):
        return "a limit is no number above 0"
    return None


def _fault_of_tensors(checkpoint: Mapping[str, Any]) -> str | None:
    weights = checkpoint["state_dict"]
    wrong = next((name for name, value in weights.items() if not isinstance(value, Tensor)), None)
    if wrong is not None:
        return f"{wrong} is no tensor"
    for state in checkpoint.get("optimizer_states", []):
        if not isinstance(state, Mapping) or not {"state", "param_groups"} <= state.keys():
            return "an optimizer's state has no moments"
        if not all(isinstance(of_one, Mapping) for of_one in _items(state["state"])):
            return "an optimizer's moments are of another type"
    found = non_finite(checkpoint)
    return None if found is None else f"{found} is NaN or infinite"


def _numbers(checkpoint: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """The weights and the optimizers' moments, with their places."""
    for name, tensor in checkpoint["state_dict"].items():
        yield f"state_dict/{name}", tensor
    for number, state in enumerate(checkpoint.get("optimizer_states", [])):
        for index, of_one in state["state"].items():
            for name, value in of_one.items():
                if isinstance(value, Tensor):
                    yield f"optimizer_states/{number}/state/{index}/{name}", value


def _items(state: object) -> Iterator[object]:
    yield from state.values() if isinstance(state, Mapping) else [None]
