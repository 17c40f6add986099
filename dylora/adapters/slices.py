"""Slices of a layer's output: the columns that one of several fused projections writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor


@dataclass(frozen=True)
class OutputSlice:
    """The same part of each of several equal groups of a layer's output.

    The output (..., out_features) is seen as (..., groups, group_width), and the slice is `start` to `start + width` of
    every group. A projection whose queries, keys and values lie side by side has one group; one whose heads lie side by
    side, each with its own query, key and value, has as many groups as heads.

    Attributes:
        groups: Number of groups, which divides out_features.
        start: First column inside a group, 0-based.
        width: Columns of a group.

    >>> OutputSlice(groups=2, start=0, width=1).of(torch.arange(6)).flatten()
    tensor([0, 3])
    """

    groups: int
    start: int
    width: int

    @property
    def features(self) -> int:
        """Width of the projection that writes this slice."""
        return self.groups * self.width

    def of(self, output: Tensor) -> Tensor:
        """The slice as a view, (..., out_features) to (..., groups, width)."""
        grouped = output.view(*output.shape[:-1], self.groups, output.shape[-1] // self.groups)
        return grouped.narrow(-1, self.start, self.width)


def add_to_slices(output: Tensor, slices: Sequence[OutputSlice], parts: Sequence[Tensor]) -> Tensor:
    """Add to slices of an output, each part in the output's type; the other columns keep their bits.

    In place where no gradient is recorded. Else on a copy, as an output may be a view that autograd does not let be
    changed (that of a quantised layer), and with a backward that copies nothing.

    Args:
        output: (..., out_features).
        slices: The slices, without overlap.
        parts: For each slice (..., features), its groups one after the other.
    """
    parts = [part.to(output.dtype) for part in parts]
    if torch.is_grad_enabled():
        return cast(Tensor, _AddToSlices.apply(output, tuple(slices), *parts))  # type: ignore[no-untyped-call]
    return _add_(output, slices, parts)


class _AddToSlices(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(output: Tensor, slices: tuple[OutputSlice, ...], *parts: Tensor) -> Tensor:
        return _add_(output.clone(), slices, parts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401 (autograd's own)
        ctx.slices = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return grad, None, *(place.of(grad).flatten(-2) for place in ctx.slices)


def _add_(output: Tensor, slices: Sequence[OutputSlice], parts: Sequence[Tensor]) -> Tensor:
    for place, part in zip(slices, parts, strict=True):
        place.of(output).add_(part.view(*part.shape[:-1], place.groups, place.width))
    return output


def side_by_side(**widths: int) -> dict[str, OutputSlice]:
    """Projections that lie one after the other in the whole output.

    >>> side_by_side(q=4, k=2, v=2)["v"]
    OutputSlice(groups=1, start=6, width=2)
    """
    return in_every_group(1, **widths)


def in_every_group(groups: int, **widths: int) -> dict[str, OutputSlice]:
    """Projections that lie one after the other in each group, such as each head's.

    Args:
        groups: Number of groups.
        **widths: Width of each projection's part of a group, under its name, in their order.

    >>> in_every_group(3, q=2, k=2, v=2)["k"]
    OutputSlice(groups=3, start=2, width=2)
    """
    slices, start = {}, 0
    for name, width in widths.items():
        slices[name] = OutputSlice(groups, start, width)
        start += width
    return slices
