"""Backbones whose frozen weights are held in bf16, beside trained parameters in fp32.

Activations have the backbone's type. The adapters' factors, which are small, are cast to it in every forward, as bf16
autocast does; the backbone's weights, which are large, are not cast at all. What else is trained (a task head) computes
in fp32, on inputs that are cast.
"""

from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from dylora.backbones.quantization import Quantization
from dylora.errors import InputError

BackboneDType = Literal["fp32", "bf16"]

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PRECISIONS = ("32-true", "bf16-mixed")


def dtype_of(name: BackboneDType, quantization: Quantization | None = None) -> torch.dtype:
    """Torch's type for the weights of a backbone.

    Args:
        name: `fp32` or `bf16`.
        quantization: How the backbone is quantised; None for not at all.

    Raises:
        InputError: If it is neither, or bf16 for a quantised backbone.

    >>> dtype_of("bf16")
    torch.bfloat16
    """
    if name not in get_args(BackboneDType):
        raise InputError("model.backbone_dtype", "fp32 or bf16", repr(name), "leave it out for fp32")
    if name != "fp32" and quantization is not None:
        given = f"{name} with model.quantization {quantization}"
        raise InputError("model.backbone_dtype", "fp32 for a quantised backbone", given, "leave one of them out")
    return _TYPES[name]


def dtype_name(dtype: torch.dtype) -> BackboneDType | None:
    """The name of a type of weights; None for one that cannot be chosen.

    >>> dtype_name(torch.bfloat16), dtype_name(torch.float16)
    ('bf16', None)
    """
    return next((cast(BackboneDType, name) for name, known in _TYPES.items() if known == dtype), None)


def is_bf16(model: nn.Module) -> bool:
    """Whether a model's frozen weights are held in bf16."""
    return any(p.dtype == torch.bfloat16 for p in model.parameters() if not p.requires_grad)


def train_in_fp32(model: nn.Module) -> None:
    """Give what is trained of a model in bf16 the type fp32, in place: its values, and what it computes in.

    Args:
        model: The model; what of it is trained requires a gradient. One in fp32 stays as it is.
    """
    for module in model.modules():
        own = [p for p in module.parameters(recurse=False) if p.requires_grad and p.dtype == torch.bfloat16]
        for parameter in own:
            parameter.data = parameter.data.float()
        if own:  # not the adapters, which are in fp32 from the start and take any input
            module.register_forward_pre_hook(_in_own_type, with_kwargs=True)


def check_precision_of(model: nn.Module, precision: str) -> None:
    """Refuse a trainer that would give a backbone in bf16, or what is trained beside it, another type.

    Args:
        model: The model.
        precision: Lightning's name of the precision.

    Raises:
        InputError: If it would. A model that is in bf16 altogether, as Lightning's `bf16-true` leaves it, takes any.
    """
    beside = any(p.dtype != torch.bfloat16 for p in model.parameters() if p.requires_grad)
    if is_bf16(model) and beside and precision not in _PRECISIONS:
        allowed = f"{' or '.join(_PRECISIONS)} with model.backbone_dtype bf16"
        raise InputError("--trainer.precision", allowed, precision, "choose one of them")


def _in_own_type(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs in the type that the module's parameters have now; under autocast, which has types of its own, as is.

    The type is looked up in each forward, since a model may be moved to another one (`model.to(torch.bfloat16)`).
    """
    own = max((parameter.dtype for parameter in module.parameters(recurse=False)), key=lambda dtype: dtype.itemsize)
    return tuple(_cast(arg, own) for arg in args), {name: _cast(value, own) for name, value in kwargs.items()}


def _cast(value: Any, dtype: torch.dtype) -> Any:  # noqa: ANN401
    if not isinstance(value, Tensor) or not value.is_floating_point() or torch.is_autocast_enabled(value.device.type):
        return value
    return value.to(dtype)
