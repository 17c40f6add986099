"""Bars of long steps, with the time that is left: on a terminal alone, in the first process alone."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm  # type: ignore[import-untyped]

from dylora.processes import process_rank
from dylora.terminal import is_terminal

T = TypeVar("T")


def one(_: object) -> int:
    """Each item is one step."""
    return 1


def with_bar(
    items: Iterable[T], total: float | None, words: str, is_wanted: bool = True, size: Callable[[T], int] = one
) -> Iterator[T]:
    """Go through items, and show on a terminal how far that is and how long it takes.

    Nothing of the bar stays when the items have ended, or were left.

    Args:
        items: What is gone through.
        total: The number of steps; None or infinity where it is not known.
        words: What the bar says.
        is_wanted: Whether the user wants any bars.
        size: Number of steps that an item is, one if left out.
    """
    with shown_bar(total, words, is_wanted) as bar:
        for item in items:
            yield item
            bar.update(size(item))


def shown_bar(total: float | None, words: str, is_wanted: bool = True, delay: float = 0.0, unit: str = "it") -> tqdm:
    """A bar, to be closed; seen on a terminal alone, in the first process alone.

    Args:
        total: The number of steps; None or infinity where it is not known.
        words: What the bar says.
        is_wanted: Whether the user wants any bars.
        delay: Seconds before it is shown.
        unit: What one step is.
    """
    return tqdm(
        desc=words,
        total=total if total is not None and total != float("inf") else None,
        disable=not (is_wanted and process_rank() == 0 and is_terminal()),
        leave=False,
        dynamic_ncols=True,
        file=sys.stdout,
        delay=delay,
        unit=unit,
    )
