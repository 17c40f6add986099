"""Validation rows that are split off the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dylora.errors import InputError


@dataclass(frozen=True)
class Holdout:
    """Validation rows that are split off the training rows.

    Attributes:
        share: Share of the rows, of each class alike, inside (0, 1).
        seed: Seed of their choice.
    """

    share: float
    seed: int


def optional_holdout(share: float | None, seed: int) -> Holdout | None:
    """What the options `data.validation_share` and `data.split_seed` say; None for a set's own validation rows.

    Raises:
        InputError: If the share is not inside (0, 1).
    """
    if share is not None and not 0 < share < 1:
        raise InputError("data.validation_share", "above 0 and below 1, or null", share, "0.1 is usual")
    return None if share is None else Holdout(share, seed)


def held_out_rows(classes: Sequence[int], holdout: Holdout) -> list[int]:
    """The rows of a share of each class, at least one of it left out; the same whenever seed and rows are.

    Args:
        classes: The class of each row.
        holdout: Share and seed.

    >>> held_out_rows([0, 1, 0, 0, 0, 1, 0], Holdout(0.5, 1))  # 3 (2.5, rounded up) of five, 1 of two
    [0, 3, 5, 6]
    """
    generator = torch.Generator().manual_seed(holdout.seed)
    held: list[int] = []
    for which in sorted(set(classes)):
        rows = [row for row, found in enumerate(classes) if found == which]
        count = min(int(holdout.share * len(rows) + 0.5), len(rows) - 1)
        held += [rows[place] for place in torch.randperm(len(rows), generator=generator)[:count].tolist()]
    return sorted(held)
