"""The arithmetic of a truncated low-rank product: pure functions of tensors."""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Scaling = Literal["alpha/b", "alpha/max_rank", "alpha/sqrt(b*max_rank)"]
SCALINGS: tuple[Scaling, ...] = get_args(Scaling)


def scale(scaling: Scaling, alpha: float, rank: int, max_rank: int) -> float:
    """Factor in front of the low-rank product at one rank.

    `alpha/b` is the paper's (Eq. 7); `alpha/max_rank` is the same at every rank; `alpha/sqrt(b*max_rank)` is their
    geometric mean.

    Args:
        scaling: Name of the rule.
        alpha: LoRA's alpha, any number.
        rank: Active rank `b`, 1-based.
        max_rank: Largest rank, at least `rank`.

    >>> [scale(name, 16, 2, 8) for name in SCALINGS]
    [8.0, 2.0, 4.0]
    """
    if scaling == "alpha/b":
        return alpha / rank
    if scaling == "alpha/max_rank":
        return alpha / max_rank
    return alpha / math.sqrt(rank * max_rank)


def truncated_product(
    x: Float[Tensor, "*batch d_in"],
    lora_A: Float[Tensor, "max_rank d_in"],
    lora_B: Float[Tensor, "d_out max_rank"],
    rank: int,
    factor: float,
    frozen: bool = False,
) -> Float[Tensor, "*batch d_out"]:
    """`factor * B|b A|b x`: the adapter's part of the truncated forward (Eq. 7).

    Only the first `rank` rows of `lora_A` and columns of `lora_B` are read, so the others get a zero gradient.

    Args:
        x: Input of the adapted layer.
        lora_A: Down projection (the paper's `Wdw`), one row per rank.
        lora_B: Up projection (the paper's `Wup`), one column per rank.
        rank: Active rank `b`, 1-based.
        factor: What `scale` gives for that rank.
        frozen: Let the gradient reach row and column `b` alone (Algorithm 1, frozen mode); the value is the same.
    """
    a, b = truncated(lora_A, lora_B, rank, frozen)
    return F.linear(F.linear(x, a) * factor, b)


def truncated(lora_A: Tensor, lora_B: Tensor, rank: int, frozen: bool) -> tuple[Tensor, Tensor]:
    """The first `rank` rows of `lora_A` and columns of `lora_B`; in frozen mode the gradient reaches the last alone."""
    a, b = lora_A[:rank], lora_B[:, :rank]
    if frozen:
        a = torch.cat([a[:-1].detach(), a[-1:]])
        b = torch.cat([b[:, :-1].detach(), b[:, -1:]], dim=1)
    return a, b


def row_weights(ranks: Int[Tensor, " rows"], factors: Float[Tensor, " max_rank"]) -> Float[Tensor, "rows max_rank"]:
    """What each row of a batch multiplies its `max_rank` hidden values with: its factor up to its rank, then zeros.

    Args:
        ranks: Active rank of each row, 1-based.
        factors: What `scale` gives for ranks 1 to `max_rank`.

    >>> row_weights(torch.tensor([1, 3]), torch.tensor([6.0, 3.0, 2.0]))
    tensor([[6., 0., 0.],
            [2., 2., 2.]])
    """
    steps = torch.arange(1, len(factors) + 1, device=ranks.device)
    return (steps <= ranks[:, None]) * factors[ranks - 1, None]


def rowwise_product(
    x: Float[Tensor, "rows *batch d_in"],
    lora_A: Float[Tensor, "max_rank d_in"],
    lora_B: Float[Tensor, "d_out max_rank"],
    weights: Float[Tensor, "rows max_rank"],
) -> Float[Tensor, "rows *batch d_out"]:
    """The truncated product with a rank of its own for every row of the batch.

    Args:
        x: Input of the adapted layer; dimension 0 is the batch.
        lora_A: Down projection, one row per rank.
        lora_B: Up projection, one column per rank.
        weights: What `row_weights` gives for the rows' ranks.
    """
    hidden = F.linear(x, lora_A)  # (rows, *batch, max_rank)
    # Multiplied before the cast: under autocast the factor is not rounded to 16 bits, as with one rank for all rows.
    return F.linear((hidden * per_row(weights, hidden.dim())).to(hidden.dtype), lora_B)


def per_row(weights: Float[Tensor, "rows max_rank"], dims: int) -> Float[Tensor, "rows *ones max_rank"]:
    """The weights with as many dimensions as the hidden values that they are multiplied with."""
    return weights.view(len(weights), *[1] * (dims - 2), -1)
