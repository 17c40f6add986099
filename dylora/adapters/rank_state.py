"""The active rank of an adapted model: one object that all its adapted layers share."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.functional import row_weights, scale
from dylora.errors import InputError


@dataclass
class RankState:
    """The active rank, shared by all adapted layers of one model.

    Attributes:
        config: What the adapters are made of.
        rank: Active rank, 1-based, or a LongTensor (rows,) with a rank for each row of the batch.
        frozen: Whether the gradient reaches row and column `rank` alone (Algorithm 1, frozen mode).
        merged_rank: The rank merged into the base weights, or None.
        switched_off: Whether the base model computes alone.
        repeats: How often every row of the batch may be repeated, as beam search does; 1 for never.
        shares_prompts: Whether all beams can go on from one cache of their prompt; None before it was tried.
        hooks: What was registered with the model for as long as the adapters are in it.
        compiled: Whether the model is compiled.
        row_checks: What was found of a rank per row, for each way of running the model: whether it is right there.
    """

    config: DyLoRAConfig
    rank: int | Tensor
    frozen: bool = False
    merged_rank: int | None = None
    switched_off: bool = False
    repeats: int = 1
    compiled: bool = False
    row_checks: dict[str, bool] = field(default_factory=dict)
    shares_prompts: bool | None = None
    hooks: list[RemovableHandle] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.row_weights: Tensor | None = None

    @property
    def adds_nothing(self) -> bool:
        """Whether a layer's output is that of its base layer alone."""
        return self.switched_off or self.merged_rank is not None

    @torch.inference_mode(False)  # a trainer evaluates inside it, and training goes on with the tensors that are set
    def set(self, rank: int | Tensor, frozen: bool) -> None:
        """Activate a rank, or a rank per row."""
        self.rank, self.frozen, self.row_weights = rank, frozen, None
        if isinstance(rank, Tensor):
            every = range(1, self.config.max_rank + 1)
            factors = torch.tensor([self.factor(b) for b in every], device=rank.device)
            self.rank = rank.clone()
            self.row_weights = row_weights(self.rank, factors)
            if self.compiled:  # else as many rows as `max_rank` would be taken for the same number, and fixed with it
                torch._dynamo.mark_static(self.row_weights, 1)

    def weights_for(self, x: Tensor) -> Tensor:
        """What each row of a layer's input multiplies its hidden values with, (rows, max_rank).

        Args:
            x: (rows, ..., in_features), with as many rows as ranks are set, or `repeats` times as many.

        Raises:
            InputError: If it has another number of rows: dimension 0 is not the batch then.
        """
        assert self.row_weights is not None
        weights = self.row_weights.to(x.device)
        rows = x.shape[0] if x.dim() > 1 else 1
        if rows == len(weights):
            return weights
        if rows == len(weights) * self.repeats:
            return weights.repeat_interleave(self.repeats, dim=0)
        fix = "give one a row, use repeated_rows where generation repeats rows, or run one rank at a time"
        given = f"{len(weights)} ranks for {rows} rows in an adapted layer"
        raise InputError("rank", "one for each row of the batch", given, fix)

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
