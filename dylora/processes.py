"""Which process of a distributed run this is, and what the first one says for all."""

import os

from lightning_utilities.core.rank_zero import rank_zero_only  # Lightning's own, without loading the rest of it

from dylora.terminal import above_bars


def process_rank() -> int:
    """Number of this process among all of the run, from 0; right before a trainer exists, too.

    Until then the first process of another machine has the number of the machine, which is not 0 either.
    """
    rank = int(getattr(rank_zero_only, "rank", 0))
    machine = os.environ.get("NODE_RANK", "0")
    return int(machine) if rank == 0 and "RANK" not in os.environ and machine.isdecimal() else rank


def say(line: str) -> None:
    """Print a line, in the first process only."""
    if process_rank() == 0:
        with above_bars():
            print(line, flush=True)
