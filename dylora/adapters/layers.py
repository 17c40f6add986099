"""Adapted layers: each wraps a frozen base layer and adds its truncated low-rank product."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from dylora.adapters.calls import Calls
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.rank_state import RankState


class LinearLike(Protocol):
    """A layer with a weight that maps `in_features` to `out_features`; it may be quantised."""

    in_features: int
    out_features: int
    weight: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""


class DyLoRALayer(nn.Module):
    """Base of the adapted layers: the frozen base layer, input dropout and merging.

    Attributes:
        base_layer: The layer that was there before, called through its own forward.
    """

    def __init__(self, base_layer: nn.Module, state: RankState) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.state = state
        self.calls = Calls()
        self.dropout = nn.Dropout(state.config.dropout)
        self._base_weight: Tensor | None
        self.register_buffer("_base_weight", None, persistent=False)  # moves with the model, is in no checkpoint

    def forward(self, x: Tensor) -> Tensor:
        """Eq. 7 at the active rank: (*, in_features) to (*, out_features).

        Raises:
            InputError: If there are not as many rows as ranks of rows.
        """
        self.calls.called()
        out = cast(Tensor, self.base_layer(x))
        if self.state.adds_nothing:
            return out
        return self._add_adapter(out, self.dropout(x))

    def merge(self, rank: int) -> None:
        """Add the adapter at a rank to the base weight, computed in fp32; the old weight is kept for `unmerge`."""
        weight = cast(Tensor, self.base_layer.weight)
        self._base_weight = weight.data
        weight.data = (weight.data.float() + self._delta_weight(rank)).to(weight.dtype)

    def unmerge(self) -> None:
        """Put the base weight back, bit for bit."""
        assert self._base_weight is not None
        cast(Tensor, self.base_layer.weight).data = self._base_weight
        self._base_weight = None

    def _add_adapter(self, out: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _delta_weight(self, rank: int) -> Tensor:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (as in nn.Module)
        """Weight and bias stay reachable where they were: some models read `layer.weight` directly."""
        if name in ("weight", "bias", "in_features", "out_features"):
            if name == "weight":
                self.calls.read()
            return getattr(self.base_layer, name)
        return super().__getattr__(name)


class DyLoRALinear(DyLoRALayer):
    """A linear layer, or any layer like it (quantised ones included), with one pair of factors."""

    def __init__(self, base_layer: nn.Module, state: RankState) -> None:
        super().__init__(base_layer, state)
        linear = cast(LinearLike, base_layer)
        self.factors = LowRankFactors(linear.in_features, linear.out_features, state, linear.weight.device)

    def _add_adapter(self, out: Tensor, x: Tensor) -> Tensor:
        return out + cast(Tensor, self.factors(x)).to(out.dtype)

    def _delta_weight(self, rank: int) -> Tensor:
        return self.factors.delta_weight(rank)


class DyLoRAConv1D(DyLoRALayer):
    """GPT-2's `Conv1D` (a linear layer whose weight is (in, out)), with factors for some slices of its output.

    On the fused `c_attn`, queries and values have factors of their own and the keys none, as LoRA's code base does
    with merged projections.

    Args:
        base_layer: The `Conv1D`.
        state: The model's active rank.
        thirds: Which thirds of the output are adapted, of `q`, `k`, `v`; empty adapts the whole output at once.
    """

    def __init__(self, base_layer: nn.Module, state: RankState, thirds: Sequence[str] = ()) -> None:
        super().__init__(base_layer, state)
        weight = cast(Tensor, base_layer.weight)
        d_in, d_out = weight.shape
        names = ("q", "k", "v") if thirds else ("all",)
        self.widths = [d_out // len(names)] * len(names)
        self.names = names
        self.factors = nn.ModuleDict(
            {
                name: LowRankFactors(d_in, self.widths[0], state, weight.device)
                for name in names
                if name in (thirds or names)
            }
        )

    def _add_adapter(self, out: Tensor, x: Tensor) -> Tensor:
        parts = zip(self.names, torch.split(out, self.widths, dim=-1), strict=True)
        added = [part + self.factors[n](x).to(part.dtype) if n in self.factors else part for n, part in parts]
        return torch.cat(added, dim=-1)

    def _delta_weight(self, rank: int) -> Tensor:
        weight = cast(Tensor, self.base_layer.weight)
        delta = torch.zeros(weight.shape, device=weight.device)  # (in, out)
        for name, columns in zip(self.names, torch.split(delta, self.widths, dim=1), strict=True):
            if name in self.factors:
                columns += cast(LowRankFactors, self.factors[name]).delta_weight(rank).T
        return delta
