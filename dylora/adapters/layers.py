"""The adapted layer: it wraps a frozen linear layer and adds its truncated low-rank product."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from dylora.adapters.calls import Calls
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.linear import as_weight, device_of, features, multiplies_alone
from dylora.adapters.rank_state import RankState
from dylora.adapters.sliced_products import add_products
from dylora.adapters.slices import OutputSlice, add_to_slices


class AdaptedLayer(nn.Module):
    """A frozen linear layer with factors for its whole output, or with factors of their own for slices of it.

    How the layer keeps its weight (`nn.Linear`, GPT-2's `Conv1D`, quantised) and which columns of its output are
    adapted are independent. On a fused projection queries and values have factors of their own and the keys none, as
    LoRA's code base does with merged projections.

    Args:
        base_layer: A module that `is_linear_like`; it is called through its own forward.
        state: The model's active rank.
        slices: The slices that are adapted, by name; none adapts the whole output.

    Attributes:
        base_layer: The layer that was there before.
        factors: One pair, or one pair for each slice under its name.
    """

    def __init__(
        self, base_layer: nn.Module, state: RankState, slices: Mapping[str, OutputSlice] | None = None
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.state = state
        self.calls = Calls()
        self.dropout = nn.Dropout(state.config.dropout)
        self.slices = dict(slices or {})
        d_in, d_out = features(base_layer)
        device = device_of(base_layer)
        self.factors: LowRankFactors | nn.ModuleDict
        if self.slices:
            pairs = {name: LowRankFactors(d_in, s.features, state, device) for name, s in self.slices.items()}
            self.factors = nn.ModuleDict(pairs)
        else:
            self.factors = LowRankFactors(d_in, d_out, state, device)
        self._may_change_output = multiplies_alone(base_layer)
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
        x = self.dropout(x)
        if isinstance(self.factors, LowRankFactors):
            return out + cast(Tensor, self.factors(x)).to(out.dtype)
        pairs = cast(list[LowRankFactors], list(self.factors.values()))
        return add_products(out, list(self.slices.values()), x, pairs, self._may_change_output)

    def parts_of(self, output: Tensor) -> list[tuple[LowRankFactors, Tensor]]:
        """Each pair of factors with what it writes of an output, or of a gradient there, (..., out_features)."""
        if isinstance(self.factors, LowRankFactors):
            return [(self.factors, output)]
        pairs = cast(list[LowRankFactors], list(self.factors.values()))
        return [(pair, s.of(output).flatten(-2)) for pair, s in zip(pairs, self.slices.values(), strict=True)]

    def merge(self, rank: int) -> None:
        """Add the adapter at a rank to the base weight, computed in fp32; the old weight is kept for `unmerge`."""
        weight = cast(Tensor, self.base_layer.weight)
        self._base_weight = weight.data
        delta = as_weight(self.delta_weight(rank), self.base_layer)
        weight.data = (weight.data.float() + delta).to(weight.dtype)

    def unmerge(self) -> None:
        """Put the base weight back, bit for bit."""
        assert self._base_weight is not None
        cast(Tensor, self.base_layer.weight).data = self._base_weight
        self._base_weight = None

    def delta_weight(self, rank: int) -> Tensor:
        """The weight that the adapter amounts to at a rank, (out_features, in_features), fp32."""
        if isinstance(self.factors, LowRankFactors):
            return self.factors.delta_weight(rank)
        d_in, d_out = features(self.base_layer)
        delta = torch.zeros(d_in, d_out, device=device_of(self.base_layer))
        parts = [cast(LowRankFactors, factors).delta_weight(rank).T for factors in self.factors.values()]
        return add_to_slices(delta, list(self.slices.values()), parts).T

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (as in nn.Module)
        """Weight and bias stay reachable where they were: some models read `layer.weight` directly."""
        if name in ("weight", "bias", "in_features", "out_features"):
            if name == "weight":
                self.calls.read()
            return getattr(self.base_layer, name)
        return super().__getattr__(name)
