"""Setting some rows of each class aside."""

from collections.abc import Sequence

import numpy as np


def stratified_split(labels: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows that stay, and rows that are set aside: the share of each class, rounded, but at least one of each.

    A class of a single row stays whole.

    Args:
        labels: The class of each row.
        share: What is set aside, between 0 and 1.
        seed: Seed of the choice; the same rows are set aside for the same labels and seed.

    Returns:
        The numbers of both, each in the order of the rows.

    >>> stratified_split(["a", "a", "b", "b", "c"], 0.5, 0)
    ([1, 3, 4], [0, 2])
    """
    random = np.random.default_rng(seed)
    by_class: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        by_class.setdefault(label, []).append(row)
    aside: set[int] = set()
    for _, rows in sorted(by_class.items()):
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        aside |= {rows[place] for place in random.permutation(len(rows))[:count]}
    return [row for row in range(len(labels)) if row not in aside], sorted(aside)
