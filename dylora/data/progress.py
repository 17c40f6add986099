"""A bar over the rows that are tokenised, where that takes longer than a moment."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from dylora.progress import shown_bar

Advance = Callable[[int], object]
"""Says that so many rows more are done."""
Counted = Callable[[int], AbstractContextManager[Advance]]
"""Opens a bar over so many rows."""
ROWS_AT_ONCE = 1000
"""Rows that are tokenised at once: enough for all cores, few enough for the memory and for the bar to move."""
_DELAY_SECONDS = 1.0


def counted(what: str, is_wanted: bool = True) -> Counted:
    """Bars for something that is tokenised.

    Args:
        what: What it is, such as `rte train`.
        is_wanted: Whether the user wants bars; they are shown on a terminal alone.
    """

    @contextmanager
    def opened(rows: int) -> Iterator[Advance]:
        with shown_bar(rows, f"tokenising {what}", is_wanted, _DELAY_SECONDS, " rows") as bar:
            yield bar.update

    return opened


def slices(rows: int, open_bar: Counted) -> Iterator[slice]:
    """So many rows in pieces that are tokenised at once, with a bar over them.

    >>> list(slices(2001, counted("rte train", is_wanted=False)))
    [slice(0, 1000, None), slice(1000, 2000, None), slice(2000, 2001, None)]
    """
    with open_bar(rows) as advance:
        for start in range(0, rows, ROWS_AT_ONCE):
            piece = slice(start, min(start + ROWS_AT_ONCE, rows))
            yield piece
            advance(piece.stop - piece.start)


silent = counted("", is_wanted=False)
"""No bars."""
