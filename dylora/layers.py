"""Adapted layers: each wraps a frozen base layer and adds its truncated low-rank product."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from dylora.config import DyLoRAConfig, Init
from dylora.functional import row_weights, rowwise_product, scale, truncated_product


class LinearLike(Protocol):
    """A layer with a weight that maps `in_features` to `out_features`; it may be quantised."""

    in_features: int
    out_features: int
    weight: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""


@dataclass
class RankState:
    """The active rank, shared by all adapted layers of one model.

    Attributes:
        config: What the adapters are made of.
        rank: Active rank, 1-based, or a LongTensor (rows,) with a rank for each row of the batch.
        frozen: Whether the gradient reaches row and column `rank` alone (Algorithm 1, frozen mode).
        merged_rank: The rank merged into the base weights, or None.
    """

    config: DyLoRAConfig
    rank: int | Tensor
    frozen: bool = False
    merged_rank: int | None = None

    def __post_init__(self) -> None:
        self.row_weights: Tensor | None = None

    def set(self, rank: int | Tensor, frozen: bool) -> None:
        """Activate a rank, or a rank per row."""
        self.rank, self.frozen, self.row_weights = rank, frozen, None
        if isinstance(rank, Tensor):
            every = range(1, self.config.max_rank + 1)
            factors = torch.tensor([self.factor(b) for b in every], device=rank.device)
            self.row_weights = row_weights(rank, factors)

    @property
    def updated_rows(self) -> slice:
        """The 0-based rows of the factors that Algorithm 1 updates at the active rank.

        With a rank for each row of the batch, all rows up to the largest of them.
        """
        if isinstance(self.rank, Tensor):
            return slice(0, int(self.rank.max()))
        return slice(self.rank - 1 if self.frozen else 0, self.rank)

    def factor(self, rank: int) -> float:
        """The scaling at a rank."""
        return scale(self.config.scaling, self.config.alpha, rank, self.config.max_rank)


class LowRankFactors(nn.Module):
    """One pair of factors; see `dylora.functional` for what is computed.

    Attributes:
        lora_A: (max_rank, in_features), fp32.
        lora_B: (out_features, max_rank), fp32, zero at the start.
    """

    def __init__(self, in_features: int, out_features: int, state: RankState, device: torch.device) -> None:
        super().__init__()
        self.state = state
        max_rank = state.config.max_rank
        self.lora_A = nn.Parameter(torch.empty(max_rank, in_features, device=device, dtype=torch.float32))
        self.lora_B = nn.Parameter(torch.zeros(out_features, max_rank, device=device, dtype=torch.float32))
        _init(self.lora_A, state.config.init)

    def forward(self, x: Tensor) -> Tensor:
        """The adapter's part of the output, (*, in_features) to (*, out_features), at the active rank."""
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.lora_A.dtype)
        state = self.state
        if state.row_weights is not None:
            return rowwise_product(x, self.lora_A, self.lora_B, _spread(state.row_weights, x))
        assert isinstance(state.rank, int)
        factor = state.factor(state.rank)
        return truncated_product(x, self.lora_A, self.lora_B, state.rank, factor, state.frozen)

    @torch.no_grad()
    def delta_weight(self, rank: int) -> Tensor:
        """The weight that the adapter amounts to at a rank, (out_features, in_features), computed in fp32."""
        a, b = self.lora_A[:rank].float(), self.lora_B[:, :rank].float()
        return (b @ a) * self.state.factor(rank)


class DyLoRALayer(nn.Module):
    """Base of the adapted layers: the frozen base layer, input dropout and merging.

    Attributes:
        base_layer: The layer that was there before, called through its own forward.
    """

    def __init__(self, base_layer: nn.Module, state: RankState) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.state = state
        self.dropout = nn.Dropout(state.config.dropout)
        self._base_weight: Tensor | None
        self.register_buffer("_base_weight", None, persistent=False)  # moves with the model, is in no checkpoint

    def forward(self, x: Tensor) -> Tensor:
        """Eq. 7 at the active rank: (*, in_features) to (*, out_features)."""
        out = cast(Tensor, self.base_layer(x))
        if self.state.merged_rank is not None:
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


def _init(lora_A: Tensor, init: Init) -> None:
    if init == "kaiming":
        nn.init.kaiming_uniform_(lora_A, a=math.sqrt(5))
    else:
        nn.init.normal_(lora_A, std=1 / math.sqrt(3 * lora_A.shape[1]))


def _spread(weights: Tensor, x: Tensor) -> Tensor:
    """One row of weights for each row of `x`; beam search repeats every row of the batch, so they are repeated too."""
    weights = weights.to(x.device)
    repeats, rest = divmod(x.shape[0], len(weights))
    if rest:
        raise ValueError(f"{len(weights)} ranks were set for a batch of {x.shape[0]} rows; set one for each row")
    return weights.repeat_interleave(repeats, dim=0) if repeats > 1 else weights
