"""Moments of many factors side by side in one matrix whose rows are the ranks, so that one operation updates all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

States = Mapping[Tensor, dict[str, Tensor]]
_MOMENTS = ("exp_avg", "exp_avg_sq")


class RowBlock:
    """Factors of one rank dimension whose rows were updated equally often, and AdamW's update of some of their rows.

    Their moments lie here, (max_rank, sum of widths); the optimizer's state of each factor has views of them, and their
    common count of each row's updates.

    Args:
        parameters: The factors, of one type on one device.
        dim: Their rank dimension, 0 or 1.
        states: The optimizer's state; that of the factors is moved here.
    """

    def __init__(self, parameters: Sequence[Tensor], dim: int, states: States) -> None:
        self.parameters = list(parameters)
        self.dim = dim
        self.step = states[parameters[0]]["step"].clone()
        widths = [parameter.shape[1 - dim] for parameter in parameters]
        self.exp_avg, self.exp_avg_sq = (
            torch.cat([self._by_rank(states[p][name]) for p in parameters], dim=1) for name in _MOMENTS
        )
        for name, moment in zip(_MOMENTS, (self.exp_avg, self.exp_avg_sq), strict=True):
            for parameter, view in zip(parameters, moment.split_with_sizes(widths, 1), strict=True):
                states[parameter][name] = self._by_rank(view)
                states[parameter]["step"] = self.step
        self._widths = widths
        self._views = [states[parameter]["exp_avg"] for parameter in parameters]

    def holds(self, states: States) -> bool:
        """Whether the state of every factor is still here, and none was loaded or moved since."""
        return all(states[p].get("exp_avg") is view for p, view in zip(self.parameters, self._views, strict=True))

    def update(self, rows: slice, group: Mapping[str, Any]) -> None:
        """AdamW in place; the order of operations is torch's, with a count of updates for each row.

        Args:
            rows: The 0-based rows that take part.
            group: Settings of `torch.optim.AdamW`.
        """
        beta1, beta2 = group["betas"]
        self.step[rows] += 1
        counts = self.step[rows].tolist()
        grads = torch.cat([self._by_rank(cast(Tensor, p.grad))[rows] for p in self.parameters], dim=1)
        m, v = self.exp_avg[rows], self.exp_avg_sq[rows]
        m.lerp_(grads, 1 - beta1)
        v.mul_(beta2).addcmul_(grads, grads, value=1 - beta2)
        denominator = v.sqrt().div_(_column([(1 - beta2**n) ** 0.5 for n in counts], v)).add_(group["eps"])
        change = (m * _column([-group["lr"] / (1 - beta1**n) for n in counts], m)).div_(denominator)
        targets = [self._by_rank(parameter)[rows] for parameter in self.parameters]
        if group["weight_decay"]:
            torch._foreach_mul_(targets, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(targets, list(change.split_with_sizes(self._widths, 1)))

    def _by_rank(self, tensor: Tensor) -> Tensor:
        return tensor if self.dim == 0 else tensor.T


def blocks_of(parameters: Iterable[Tensor], dim: int, states: States) -> list[RowBlock]:
    """As few blocks as hold the factors: those of one type, device, largest rank and count of updates together."""
    alike: dict[Any, list[Tensor]] = defaultdict(list)
    for p in parameters:
        alike[p.device, p.dtype, p.shape[dim], *states[p]["step"].tolist()].append(p)
    return [RowBlock(together, dim, states) for together in alike.values()]


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    """A number for each row, (rows, 1), in the type that torch computes with."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.tensor(values, dtype=dtype, device=like.device).unsqueeze(1)
