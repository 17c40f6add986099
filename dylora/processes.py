"""Which process of a distributed run this is."""

from lightning.pytorch.utilities import rank_zero_only


def process_rank() -> int:
    """Number of this process among all of the run, from 0; right before a trainer exists, too."""
    return int(getattr(rank_zero_only, "rank", 0))
