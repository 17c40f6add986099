"""Several rows in one, so that no place of a batch is padding; they do not see each other.

A packed row has `position_ids` that begin anew with each of its rows. A model gets them without an attention mask, from
which transformers makes a mask with one block a row (`transformers.masking_utils`); so a packed row costs what its
length does, and each of its rows has the logits that it has alone.
"""

from collections.abc import Sequence

from datasets import Dataset  # type: ignore[import-untyped]

from dylora.data.cache import CUT_TEXT, LENGTH, TRUNCATED
from dylora.data.completion import Row


def packs(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Which rows go into one: in their order, as many as fit.

    Args:
        lengths: Number of tokens of each row, `most` at most.
        most: Number of tokens of a packed row, at most.

    Returns:
        The places of the rows in each packed row.

    >>> packs([3, 4, 2, 5], 7)
    [[0, 1], [2, 3]]
    """
    found: list[list[int]] = []
    filled = most + 1
    for place, length in enumerate(lengths):
        if filled + length > most:
            found.append([])
            filled = 0
        found[-1].append(place)
        filled += length
    return found


def packed_rows(rows: Sequence[Row], most: int) -> Dataset:
    """The rows packed, with the columns `input_ids`, `labels`, `position_ids` and `index` (of the packed row, from 0).

    Beside them `length`, `truncated` and `cut_text`, the numbers of rows in it that were cut, and `rows`, that of all.

    Args:
        rows: Rows with labels as long as their `input_ids`.
        most: Number of tokens of a packed row, at most.
    """
    groups = [[rows[place] for place in group] for group in packs([len(row.input_ids) for row in rows], most)]
    return Dataset.from_dict(
        {
            "input_ids": [[token for row in group for token in row.input_ids] for group in groups],
            "labels": [[label for row in group for label in row.labels] for group in groups],
            "position_ids": [[place for row in group for place in range(len(row.input_ids))] for group in groups],
            "index": list(range(len(groups))),
            LENGTH: [sum(len(row.input_ids) for row in group) for group in groups],
            TRUNCATED: [sum(row.truncated for row in group) for group in groups],
            CUT_TEXT: [sum(row.cut_text for row in group) for group in groups],
            "rows": [len(group) for group in groups],
        }
    )
