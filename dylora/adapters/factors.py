"""One pair of low-rank factors and its truncated product."""

import math

import torch
from torch import Tensor, nn

from dylora.adapters.config import Init
from dylora.adapters.functional import rowwise_product, truncated_product
from dylora.adapters.rank_state import RankState


class LowRankFactors(nn.Module):
    """One pair of factors; see `dylora.adapters.functional` for what is computed.

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
        x, lora_A, lora_B = self.in_one_type(x)
        state = self.state
        if state.row_weights is not None:
            return rowwise_product(x, lora_A, lora_B, state.weights_for(x))
        assert isinstance(state.rank, int)
        return truncated_product(x, lora_A, lora_B, state.rank, state.factor(state.rank), state.frozen)

    def in_one_type(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Input, `lora_A` and `lora_B` in the type that they are multiplied in; under autocast as they are.

        For a backbone in bf16 that is bf16: the small factors are cast and not the activations. Else it is fp32.
        """
        x = self.cast(x)
        return x, *self.in_type_of(x)

    def cast(self, x: Tensor) -> Tensor:
        """An input in the type that it is multiplied in, which is that of the factors of one model."""
        is_kept = torch.is_autocast_enabled(x.device.type) or x.dtype == torch.bfloat16
        return x if is_kept else x.to(self.lora_A.dtype)

    def in_type_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`lora_A` and `lora_B` in the type of an input that was cast; under autocast as they are."""
        if torch.is_autocast_enabled(x.device.type):
            return self.lora_A, self.lora_B
        return self.lora_A.to(x.dtype), self.lora_B.to(x.dtype)

    @torch.no_grad()
    def delta_weight(self, rank: int) -> Tensor:
        """The weight that the adapter amounts to at a rank, (out_features, in_features), computed in fp32."""
        a, b = self.lora_A[:rank].float(), self.lora_B[:, :rank].float()
        return (b @ a) * self.state.factor(rank)


def _init(lora_A: Tensor, init: Init) -> None:
    if init == "kaiming":
        nn.init.kaiming_uniform_(lora_A, a=math.sqrt(5))
    else:
        nn.init.normal_(lora_A, std=1 / math.sqrt(3 * lora_A.shape[1]))
