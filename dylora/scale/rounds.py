"""How processes with unequal work gather the blocks of a shared backbone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule


class Rounds:
    """Rounds in which every process says which block it needs, and all of them gather what any of them needs.

    A block is gathered by all processes together. In training they need the same one at the same time. In an evaluation
    one may have fewer batches than another, or none, write shorter texts, or put more ranks into a forward. A process
    that has done its work calls `finish` and goes on to help the others until all of them have.

    Args:
        blocks: As `shard` gives them, in the same order in every process.
        device: Of this process.
    """

    def __init__(self, blocks: Sequence[FSDPModule], device: torch.device) -> None:
        self._blocks = blocks
        self._device = device
        self._is_open = True
        for number, block in enumerate(blocks, 1):
            assert isinstance(block, nn.Module)
            # Before the hooks of FSDP2, which then find the block gathered.
            block.register_forward_pre_hook(lambda *_, n=number: self._ask(n), prepend=True)
            block.register_forward_hook(partial(self._watch_backward, number), prepend=True)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """No rounds inside: all processes need the same blocks in the same order."""
        before, self._is_open = self._is_open, False
        try:
            yield
        finally:
            self._is_open = before

    def finish(self) -> None:
        """Help the others until no process needs a block; all processes have to call it."""
        while self._round(0):
            pass

    def _ask(self, number: int) -> None:
        if self._is_open:
            self._round(number)

    def _watch_backward(self, number: int, block: nn.Module, args: Any, output: Any) -> None:  # noqa: ANN401
        """Ask for a block before its backward, too, which FSDP2 begins at the gradient of any of its outputs."""
        outputs = output if isinstance(output, tuple | list) else (output,)
        for each in outputs:
            if self._is_open and isinstance(each, Tensor) and each.requires_grad:
                each.register_hook(lambda _, n=number: self._ask(n))  # type: ignore[no-untyped-call]

    def _round(self, number: int) -> bool:
        """One round; gives whether any process needed a block."""
        own = torch.tensor([number], device=self._device)
        needed = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(needed, own)
        wanted = sorted({int(each) for each in needed} - {0})
        for each in wanted:
            block = self._blocks[each - 1]
            block.unshard()
            if each != number:
                block.reshard()
        return bool(wanted)
