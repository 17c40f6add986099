"""Larger steps for rows that few ranks train."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from dylora.adapters.ranks import RankRange


def reach(ranks: RankRange, probabilities: Sequence[float]) -> Tensor:
    """P(b >= j), the share of steps that train row j, (max_rank,), for rows j from 1.

    Args:
        ranks: The ranks that are drawn from.
        probabilities: One number a rank, summing to 1.

    >>> reach(RankRange(1, 4), [0.25] * 4)
    tensor([1.0000, 0.7500, 0.5000, 0.2500])
    """
    pairs = list(zip(ranks, probabilities, strict=True))
    return torch.tensor([sum(p for rank, p in pairs if rank >= j) for j in range(1, ranks.max_rank + 1)])


def step_factors(shares: Tensor, cap: float) -> Tensor:
    """What the step size of each row is multiplied with: `1 / share`, at most the cap.

    Args:
        shares: (max_rank,), the share of steps that train each row, from 0 to 1.
        cap: 1 or larger.
    """
    return (1 / shares).clamp(max=cap)


def scale_steps(optimizer: Optimizer, factors: Callable[[], Tensor]) -> list[RemovableHandle]:
    """Multiply the learning rate of row j of `lora_A` and of column j of `lora_B` by a factor of its own.

    What an optimizer changes in a row, its weight decay included, is multiplied after each step, so that any optimizer
    takes it; the moments are untouched. The factors of all adapters are kept twice during a step.

    Args:
        optimizer: Its groups name their rank dimension (`rank_dim`), as `parameter_groups` gives them.
        factors: Gives (max_rank,) for the coming step; where it is 1 the row keeps the optimizer's bits.

    Returns:
        The handles of the hooks, to take them out again.
    """
    before: list[Tensor] = []

    def keep(optimizer: Optimizer, args: object, options: object) -> None:
        before[:] = [parameter.detach().clone() for parameter, _ in _factors_of(optimizer)]

    @torch.no_grad()
    def scale(optimizer: Optimizer, args: object, options: object) -> None:
        of_rows = factors()
        for (parameter, dim), old in zip(_factors_of(optimizer), before, strict=True):
            weights = of_rows.to(parameter)
            parameter.copy_(torch.lerp(old, parameter, (weights[:, None] if dim == 0 else weights).expand_as(old)))
        before.clear()

    return [optimizer.register_step_pre_hook(keep), optimizer.register_step_post_hook(scale)]


def _factors_of(optimizer: Optimizer) -> list[tuple[Tensor, int]]:
    """Every `lora_A` and `lora_B` with its rank dimension."""
    groups = [group for group in optimizer.param_groups if group.get("rank_dim") is not None]
    return [(parameter, group["rank_dim"]) for group in groups for parameter in group["params"]]
