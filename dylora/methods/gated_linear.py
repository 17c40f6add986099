"""Weights as sums of rank-one components, each behind a gate; and their places in a model."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from dylora.adapters.head import task_head
from dylora.adapters.linear import is_linear_like
from dylora.errors import InputError
from dylora.methods.hard_concrete import fixed_gates, open_probability, sample_gates

# Gates start open: 1 in evaluation, and in training above 0 with probability 99.95 %, so that fewer than one in 2000
# components is expected to be closed.
_OPEN = 6.0


class GatedLinear(nn.Module):
    """A linear map whose weight is `P diag(g) Q`, with a gate for each rank-one component.

    It starts as the map that it replaces: P and Q are its weight's singular vectors, each times the root of the
    singular value, and all gates are open. Gates are sampled at each training forward. In evaluation they are fixed,
    and as many are above 0 as are expected to be when they are sampled, rounded up: those of the largest `log_alpha`.

    Args:
        layer: A linear layer, or GPT-2's `Conv1D`.

    Attributes:
        up: P, (out_features, components).
        down: Q, (components, in_features).
        log_alpha: Locations of the gates, (components,).
        bias: (out_features,), or None.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        own = layer.get_parameter("weight").detach()
        weight = own.T if isinstance(layer, Conv1D) else own  # (out, in)
        u, values, vh = torch.linalg.svd(weight.float(), full_matrices=False)
        root = values.sqrt()
        self.out_features, self.in_features = weight.shape
        self.up = nn.Parameter((u * root).to(weight.dtype).contiguous())
        self.down = nn.Parameter((root[:, None] * vh).to(weight.dtype).contiguous())
        self.log_alpha = nn.Parameter(torch.full_like(values, _OPEN))
        bias = getattr(layer, "bias", None)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(*, in_features) to (*, out_features)."""
        gates = sample_gates(self.log_alpha) if self.training else self.fixed_gates
        return F.linear(F.linear(x, self.down) * gates.to(x.dtype), self.up, self.bias)

    @property
    def weight(self) -> Tensor:
        """The weight with fixed gates, (out_features, in_features); some models read it."""
        return (self.up * self.fixed_gates) @ self.down

    @property
    def fixed_gates(self) -> Tensor:
        """The gates in evaluation, (components,)."""
        order = self.log_alpha.argsort(descending=True, stable=True)
        places = torch.arange(len(order), device=order.device)
        kept = torch.zeros_like(self.log_alpha)
        kept[order] = (places < open_probability(self.log_alpha).sum().ceil()).to(kept.dtype)
        return fixed_gates(self.log_alpha) * kept

    @property
    def component_size(self) -> int:
        """Parameters of one component: a column of P and a row of Q."""
        return self.in_features + self.out_features

    @property
    def expected_parameters(self) -> Tensor:
        """Parameters of the components whose gates are above 0, in expectation over their sampling, ()."""
        return open_probability(self.log_alpha).sum() * self.component_size

    @property
    def rank(self) -> int:
        """Number of components whose fixed gate is above 0."""
        return int(torch.count_nonzero(self.fixed_gates))


def factorise(model: nn.Module) -> None:
    """Replace every linear layer in the stacks of an encoder or decoder by a `GatedLinear`, in place.

    Stacks are what Hugging Face models keep in a `ModuleList`. Embeddings, poolers, the task head and the output
    embedding lie outside and stay as they are. A layer that stands at two names is replaced by one.

    Raises:
        InputError: If there is no such layer, or its weight is quantised.
    """
    every = list(model.named_modules(remove_duplicate=False))
    stacks = tuple(f"{name}." for name, module in every if isinstance(module, nn.ModuleList))
    head = {id(parameter) for parameter in task_head(model)}
    gated: dict[nn.Module, GatedLinear] = {}
    for name, module in every:
        own = {id(parameter) for parameter in module.parameters(recurse=False)}
        if name.startswith(stacks) and is_linear_like(module) and not own & head:
            gated[module] = gated.get(module) or _gated(module)
            model.set_submodule(name, gated[module])
    if not gated:
        given = f"{type(model).__name__}, which has none"
        raise InputError("model.method", "FLOP for a model with stacks of layers", given, "choose another method")


def gated_layers(model: nn.Module) -> dict[str, GatedLinear]:
    """All factorised layers by their names in the model."""
    return {name: module for name, module in model.named_modules() if isinstance(module, GatedLinear)}


def _gated(module: nn.Module) -> GatedLinear:
    weight = getattr(module, "weight", None)  # packed under another name in some quantised layers
    if not (isinstance(weight, nn.Parameter) and weight.is_floating_point()):
        raise InputError(
            "model.method", "another one than FLOP for quantised weights", "FLOP", "use the method Adapter"
        )
    return GatedLinear(module)
