"""Slices of a layer's output: the columns that one of several fused projections writes."""

from dataclasses import dataclass

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

    >>> import torch
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

    def add_(self, output: Tensor, part: Tensor) -> None:
        """Add to the slice in place, in the output's type.

        Args:
            output: (..., out_features).
            part: (..., features), the groups one after the other.
        """
        self.of(output).add_(part.to(output.dtype).view(*part.shape[:-1], self.groups, self.width))


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
