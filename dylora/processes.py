"""Which process of a distributed run this is, and what the first one says for all."""

from lightning_utilities.core.rank_zero import rank_zero_only  # Lightning's own, without loading the rest of it

from dylora.terminal import above_bars


def process_rank() -> int:
    """Number of this process among all of the run, from 0; right before a trainer exists, too."""
    return int(getattr(rank_zero_only, "rank", 0))


def say(line: str) -> None:
    """Print a line, in the first process only."""
    if process_rank() == 0:
        with above_bars():
            print(line, flush=True)
