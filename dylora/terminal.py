"""What only a terminal is shown: colours (none where NO_COLOR is set), a line written over, room above the bars."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

HEADING, CHOSEN, FAULT, NOTE = "bold", "bold green", "bold red", "dim"
"""The styles of this project, as rich names them."""


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
