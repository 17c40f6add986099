"""What the processes of a distributed run gather from one another; all of them have to call it."""

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")


def from_all_processes(items: list[Item]) -> list[Item]:
    """The items of all processes, in the order of the processes; any that can be pickled."""
    if not are_several():
        return items
    shares: list[list[Item]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(shares, items)
    return [item for share in shares for item in share]


def share_findings(findings: dict[str, bool]) -> None:
    """Let all processes know what any of them found to be right or wrong, in place; where they differ, it is wrong.

    A process that has had no batch yet has found nothing, and takes what the others say.

    Args:
        findings: Names, and whether each was found to be right.
    """
    for name, is_right in from_all_processes(list(findings.items())):
        findings[name] = findings.get(name, True) and is_right


def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors by those of the first process, in place.

    Args:
        tensors: As many in every process, of the same shapes and types and in the same order.
    """
    if are_several():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def relative_share(count: Tensor) -> Tensor:
    """A process's count relative to the mean over the processes, (); 1 in one process, and where all count nothing.

    The mean over the processes of means that are weighted with it is the mean over all that was counted.

    Args:
        count: What this process counted, ().
    """
    own = count.double()
    if not are_several():
        return torch.ones_like(own)
    total = own.clone()
    dist.all_reduce(total)
    return torch.where(total > 0, own * dist.get_world_size() / total, 1.0)


def are_several() -> bool:
    """Whether this is one of the processes of a distributed run, be it the only one."""
    return dist.is_available() and dist.is_initialized()
