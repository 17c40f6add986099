"""Moments of many factors side by side in one matrix whose rows are the ranks, so that one operation updates all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, cast

import torch
from torch import Tensor

States = Mapping[Tensor, dict[str, Tensor]]
_MOMENTS = ("exp_avg", "exp_avg_sq")


class RowBlock:
    """Factors of one rank dimension, and AdamW's update of some of their rows.

    Their moments lie here, (max_rank, sum of widths), and the counts of each row's updates, (factors, max_rank); the
    optimizer's state of each factor has views of them. Which factors these are never changes. Where some have no
    gradient, or have missed a step, each is updated alone.

    Args:
        parameters: The factors, of one type on one device, whose rows were updated equally often.
        dim: Their rank dimension, 0 or 1.
        states: The optimizer's state; that of the factors is moved here.
    """

    def __init__(self, parameters: Sequence[Tensor], dim: int, states: States) -> None:
        self.parameters = list(parameters)
        self.dim = dim
        self.steps = torch.stack([states[parameter]["step"] for parameter in parameters])
        widths = [parameter.shape[1 - dim] for parameter in parameters]
        self._ends = [0, *accumulate(widths)]
        self.exp_avg, self.exp_avg_sq = (
            torch.cat([self._by_rank(states[p][name]) for p in parameters], dim=1) for name in _MOMENTS
        )
        for name, moment in zip(_MOMENTS, (self.exp_avg, self.exp_avg_sq), strict=True):
            for parameter, view in zip(parameters, moment.split_with_sizes(widths, 1), strict=True):
                states[parameter][name] = self._by_rank(view)
        for parameter, step in zip(parameters, self.steps, strict=True):
            states[parameter]["step"] = step
        self._views = [states[parameter]["exp_avg"] for parameter in parameters]
        self._is_in_step = True

    def holds(self, states: States) -> bool:
        """Whether the state of every factor is still here, and none was loaded or moved since."""
        return all(_has(p, view, states) for p, view in zip(self.parameters, self._views, strict=True))

    def release(self, states: States) -> None:
        """Give every factor whose state is still here a copy of its own, so that nothing keeps the block alive."""
        for parameter, view in zip(self.parameters, self._views, strict=True):
            if _has(parameter, view, states):
                states[parameter].update({name: value.clone() for name, value in states[parameter].items()})

    def update(self, rows: slice, group: Mapping[str, Any]) -> None:
        """AdamW in place, of the factors that have a gradient.

        Args:
            rows: The 0-based rows that take part.
            group: Settings of `torch.optim.AdamW`.
        """
        places = [place for place, parameter in enumerate(self.parameters) if parameter.grad is not None]
        if self._is_in_step and len(places) == len(self.parameters):
            self._update(0, len(places), rows, group)
            return
        for place in places:
            self._update(place, place + 1, rows, group)
        self._is_in_step = torch.equal(self.steps, self.steps[:1].expand_as(self.steps))

    def _update(self, first: int, end: int, rows: slice, group: Mapping[str, Any]) -> None:
        """AdamW of neighbours that were updated equally often; the order of operations is torch's."""
        beta1, beta2 = group["betas"]
        parameters, ends = self.parameters[first:end], self._ends[first : end + 1]
        steps = self.steps[first:end, rows]
        steps += 1
        counts = steps[0].tolist()
        grads = torch.cat([self._by_rank(cast(Tensor, p.grad))[rows] for p in parameters], dim=1)
        m, v = self.exp_avg[rows, ends[0] : ends[-1]], self.exp_avg_sq[rows, ends[0] : ends[-1]]
        m.lerp_(grads, 1 - beta1)
        v.mul_(beta2).addcmul_(grads, grads, value=1 - beta2)
        denominator = v.sqrt().div_(_column([(1 - beta2**n) ** 0.5 for n in counts], v)).add_(group["eps"])
        change = (m * _column([-group["lr"] / (1 - beta1**n) for n in counts], m)).div_(denominator)
        targets = [self._by_rank(parameter)[rows] for parameter in parameters]
        if group["weight_decay"]:
            torch._foreach_mul_(targets, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(targets, list(change.split_with_sizes([b - a for a, b in pairwise(ends)], 1)))

    def _by_rank(self, tensor: Tensor) -> Tensor:
        return tensor if self.dim == 0 else tensor.T


def blocks_of(parameters: Iterable[Tensor], dim: int, states: States) -> list[RowBlock]:
    """As few blocks as hold the factors: those of one type, device, largest rank and count of updates together."""
    alike: dict[Any, list[Tensor]] = defaultdict(list)
    for p in parameters:
        alike[p.device, p.dtype, p.shape[dim], *states[p]["step"].tolist()].append(p)
    return [RowBlock(together, dim, states) for together in alike.values()]


def _has(parameter: Tensor, view: Tensor, states: States) -> bool:
    return parameter in states and states[parameter].get("exp_avg") is view


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    """A number for each row, (rows, 1), in the type that torch computes with."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.tensor(values, dtype=dtype, device=like.device).unsqueeze(1)
