"""Which modules are linear maps, and how their weight lies."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from transformers.pytorch_utils import Conv1D

# Packages and modules whose classes called "...Linear..." are quantised linear maps with a forward of their own.
_QUANTISED = (
    *("aqlm.", "auto_gptq.", "awq.", "bitsandbytes.", "eetq.", "gptqmodel.", "hqq.", "optimum.", "torchao.", "vptq."),
    *(f"transformers.integrations.{name}" for name in ("bitnet", "compressed_tensors", "eetq", "fbgemm_fp8")),
    *(f"transformers.integrations.{name}" for name in ("finegrained_fp8", "higgs", "metal_quantization", "nvfp4")),
)
_NOT_PLAIN = ("FP8GroupedLinear",)  # one weight a group of rows
_OTHERS = ("transformers.models.falcon.modeling_falcon.FalconLinear",)


def is_linear_like(module: nn.Module) -> bool:
    """Whether a module is known to be a linear map of its one input, and so can be adapted.

    These are `nn.Linear` and GPT-2's `Conv1D`, their subclasses that keep the forward, and the quantised layers of
    bitsandbytes, GPTQ, AWQ, HQQ, torchao and the like. Attributes alone are no evidence: routers of a mixture of
    experts and I-BERT's `QuantLinear` have a weight and return tuples. Not among them either is the output projection
    of `nn.MultiheadAttention`, whose weight is read and which is never called.
    """
    if isinstance(module, NonDynamicallyQuantizableLinear):
        return False
    if isinstance(module, Conv1D):
        return _forward_of(module) is Conv1D
    in_features, out_features = getattr(module, "in_features", 0), getattr(module, "out_features", 0)
    if not (isinstance(in_features, int) and isinstance(out_features, int) and in_features > 0 and out_features > 0):
        return False
    owner = _forward_of(module)
    return owner is nn.Linear or _is_quantised(owner) or f"{owner.__module__}.{owner.__qualname__}" in _OTHERS


def features(module: nn.Module) -> tuple[int, int]:
    """Widths of the input and the output; a packed weight's shape says nothing about them."""
    if isinstance(module, Conv1D):
        d_in, d_out = module.weight.shape
        return d_in, d_out
    sizes = cast(Any, module)
    return sizes.in_features, sizes.out_features


def device_of(module: nn.Module) -> torch.device:
    """Where the weight lies, under whatever name a quantised layer keeps it."""
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def multiplies_alone(module: nn.Module) -> bool:
    """Whether the output comes straight from a matrix product, whose backward does not read it; quantised ones may."""
    return _forward_of(module) in (nn.Linear, Conv1D)


def as_weight(delta: Tensor, module: nn.Module) -> Tensor:
    """A change of the weight, (out, in), as the module's own weight lies: `Conv1D` keeps (in, out)."""
    return delta.T if isinstance(module, Conv1D) else delta


def _forward_of(module: nn.Module) -> type:
    """The class whose forward the module runs."""
    return next(owner for owner in type(module).__mro__ if "forward" in vars(owner))


def _is_quantised(owner: type) -> bool:
    known = f"{owner.__module__}.".startswith(_QUANTISED)
    return known and "Linear" in owner.__name__ and owner.__name__ not in _NOT_PLAIN
