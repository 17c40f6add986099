"""Colours, where a terminal has them: none in a pipe or a file, none where NO_COLOR is set."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from dylora.rank_curve.table import place_of

HEADING, CHOSEN, FAULT, NOTE = "bold", "bold green", "bold red", "dim"


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream, the standard output if left out, is shown on a terminal."""
    found = sys.stdout if stream is None else stream
    return bool(found and hasattr(found, "isatty") and found.isatty())


@contextmanager
def above_bars() -> Iterator[None]:
    """Take the bars of a terminal away while something else is written, and show them again below it."""
    if "tqdm" in sys.modules and is_terminal():
        from tqdm import tqdm  # type: ignore[import-untyped]

        with tqdm.external_write_mode():
            yield
    else:
        yield


def painted(text: str, style: str, stream: TextIO | None = None) -> str:
    """A text in a style, as it is written to a terminal; unchanged for anything else.

    Args:
        text: The text.
        style: As rich names it, such as `bold red`.
        stream: Where it is written to; the standard output if left out.
    """
    if not text or not is_terminal(stream):
        return text
    from rich.console import Console  # takes a tenth of a second, which a pipe need not wait for
    from rich.text import Text

    console = Console(file=stream or sys.stdout)
    with console.capture() as captured:
        console.print(Text(text, style), end="", soft_wrap=True)
    return captured.get()


def marked_row(row: str, ranks: Sequence[int], chosen: int | None, width: int = 12) -> str:
    """A row of a table of ranks with the chosen rank's figure in colour.

    Args:
        row: As `table_row` makes it.
        ranks: The ranks of the table.
        chosen: The rank; None for none.
        width: Characters of the first column.
    """
    place = place_of(chosen, ranks, width)
    if place is None:
        return row
    return row[: place.start] + painted(row[place], CHOSEN) + row[place.stop :]


class StateLine:
    """A line of a terminal that is written over by what follows it.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, text: str) -> None:
        """Write a text in the place of the one before; an empty one takes it away."""
        self._stream.write(f"\r\x1b[K{painted(text, NOTE, self._stream)}")
        self._stream.flush()
