"""Another basis of an adapter's components: the function at `max_rank` stays, and those of lower ranks change.

For every invertible M of the adapter's rank, `(B M⁻¹) (M A) = B A`: the whole freedom that is left once the largest
rank is fixed. Cut at rank b it adds `B M⁻¹ I_b M A`, with `I_b` the first b diagonal ones. Sorting by singular value is
one choice of M for each layer, the two-sided cut another.
"""

import torch
from torch import Tensor

from dylora.adapters.ranks import RankRange


def rebased(lora_A: Tensor, lora_B: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Both factors in another basis: `M A` and `B M⁻¹`.

    Args:
        lora_A: (max_rank, d_in).
        lora_B: (d_out, max_rank).
        basis: (max_rank, max_rank), invertible; in fp64, so that the product stays to rounding.
    """
    wide_A, wide_B = lora_A.to(basis), lora_B.to(basis)
    return (basis @ wide_A).to(lora_A), torch.linalg.solve(basis, wide_B, left=False).to(lora_B)


def basis_gradient(lora_A: Tensor, lora_B: Tensor, grad_A: Tensor, grad_B: Tensor) -> Tensor:
    """The gradient of a loss in X, at X = 0, where the factors become `(I + X) A` and `B (I + X)⁻¹`.

    Args:
        lora_A: (max_rank, d_in).
        lora_B: (d_out, max_rank).
        grad_A: Gradient of the loss in `lora_A`.
        grad_B: Gradient of the loss in `lora_B`.

    Returns:
        (max_rank, max_rank).
    """
    return grad_A @ lora_A.T - lora_B.T @ grad_B


def acting(ranks: RankRange) -> Tensor:
    """Which entries of X change any of the ranks, (max_rank, max_rank): those that mix components of different ranks.

    A rescaled component, or two that every rank either has both of or neither, change nothing.

    >>> acting(RankRange(2, 4, 2)).int().tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    """
    first = torch.tensor([next(b for b in ranks if b >= row) for row in range(1, ranks.max_rank + 1)])
    return first[:, None] != first
