"""The active rank of an adapted model: one object that all its adapted layers share."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.functional import row_weights, scale


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
