"""A decay that rises with the row, so that what an adapter learns moves to its first rows.

Later rows pay more, like in a weighted nuclear norm: a lower rank keeps more of `max_rank`.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from dylora.adapters.factors import LowRankFactors

Rise = Literal["linear", "sqrt", "log", "quadratic"]

_RISES: dict[Rise, Callable[[int], float]] = {
    "linear": lambda j: j - 1.0,
    "sqrt": lambda j: math.sqrt(j - 1),
    "log": math.log,
    "quadratic": lambda j: (j - 1.0) ** 2,
}


def rise(shape: Rise, max_rank: int) -> Tensor:
    """What each row pays, (max_rank,): `j - 1`, its root, `log j` or its square, for row j from 1. Row 1 pays nothing.

    Args:
        shape: Which of them.
        max_rank: Number of rows.

    >>> rise("linear", 4)
    tensor([0., 1., 2., 3.])
    """
    return torch.tensor([_RISES[shape](j) for j in range(1, max_rank + 1)])


def ordered_penalty(model: nn.Module, shape: Rise = "linear") -> Tensor:
    """`sum over layers and rows j of rise(j) (|A_j|^2 + |B_:j|^2)`, (), computed in fp32.

    Args:
        model: An adapted model.
        shape: How it rises with the row.
    """
    pairs = [(m.lora_A.float(), m.lora_B.float()) for m in model.modules() if isinstance(m, LowRankFactors)]
    by_row = torch.stack([(a.square().sum(1) + b.square().sum(0)) for a, b in pairs]).sum(0)
    return (rise(shape, len(by_row)).to(by_row) * by_row).sum()


def decay_after_steps(
    optimizer: Optimizer, omega: float, shape: Rise, updated_rows: Callable[[], slice] | None = None
) -> RemovableHandle:
    """Decoupled: after each step multiply row j of `lora_A` and column j of `lora_B` by `1 - lr omega rise(j)`.

    A step that a gradient scaler skips, or without any gradient, does not decay. A factor below 0 becomes 0.

    Args:
        optimizer: Its groups name their rank dimension (`rank_dim`), as `parameter_groups` gives them.
        omega: Strength, 0 or larger, relative to the learning rate.
        shape: How it rises with the row.
        updated_rows: Gives the 0-based rows that a step trains, for an optimizer that leaves the others as they are;
            None decays all rows, as weight decay does.

    Returns:
        The handle of the hook, to take it out again.
    """

    @torch.no_grad()
    def decay(optimizer: Optimizer, args: object, options: object) -> None:
        if all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
            return
        rows = updated_rows() if updated_rows is not None else slice(None)
        for group in optimizer.param_groups:
            if (dim := group.get("rank_dim")) is None:
                continue
            for parameter in group["params"]:
                factors = (1 - group["lr"] * omega * rise(shape, parameter.shape[dim])).clamp(min=0).to(parameter)
                if dim == 0:
                    parameter[rows] *= factors[rows, None]
                else:
                    parameter[:, rows] *= factors[rows]

    return optimizer.register_step_post_hook(decay)
