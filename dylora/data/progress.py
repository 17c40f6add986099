"""A bar on stderr over the rows that are tokenised, where that takes longer than a moment."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tqdm import tqdm  # type: ignore[import-untyped]

Advance = Callable[[int], object]
"""Says that so many rows more are done."""
Counted = Callable[[int], AbstractContextManager[Advance]]
"""Opens a bar over so many rows."""
ROWS_AT_ONCE = 1000
"""Rows that are tokenised at once: enough for all cores, few enough for the memory and for the bar to move."""
_DELAY_SECONDS = 1.0


def counted(what: str, is_shown: bool | None = None) -> Counted:
    """Bars for something that is tokenised.

    Args:
        what: What it is, such as `rte train`.
        is_shown: Whether the bars are shown; None shows them where stderr is a terminal.
    """

    @contextmanager
    def opened(rows: int) -> Iterator[Advance]:
        words = {"desc": f"tokenising {what}", "unit": " rows", "leave": False, "dynamic_ncols": True}
        with tqdm(total=rows, disable=None if is_shown is None else not is_shown, delay=_DELAY_SECONDS, **words) as bar:
            yield bar.update

    return opened


def slices(rows: int, open_bar: Counted) -> Iterator[slice]:
    """So many rows in pieces that are tokenised at once, with a bar over them.

    >>> list(slices(2001, counted("rte train", is_shown=False)))
    [slice(0, 1000, None), slice(1000, 2000, None), slice(2000, 2001, None)]
    """
    with open_bar(rows) as advance:
        for start in range(0, rows, ROWS_AT_ONCE):
            piece = slice(start, min(start + ROWS_AT_ONCE, rows))
            yield piece
            advance(piece.stop - piece.start)


silent = counted("", is_shown=False)
"""No bars."""
