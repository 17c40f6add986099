"""What the processes of a distributed run gather from one another; all of them have to call it."""

from typing import TypeVar

import torch.distributed as dist

Item = TypeVar("Item")


def from_all_processes(items: list[Item]) -> list[Item]:
    """The items of all processes, in the order of the processes; any that can be pickled."""
    if not (dist.is_available() and dist.is_initialized()):
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
