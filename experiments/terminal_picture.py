"""Draw what a command shows on a terminal, colours included, as an SVG.

    python experiments/terminal_picture.py docs/images/terminal.svg fit --config demo

The command is run on a pseudo-terminal. Its bars are left out, as they go when their step ends. Linux and macOS alone.
"""

import argparse
import os
import pty
import re
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 112
_MOVES = re.compile(r"\x1b\[\d*[A-DJK]")
_FONT = re.compile(r" *@font-face \{.*?\}\n", re.DOTALL)  # loaded from elsewhere
_BAR = re.compile(r"\||it/s\]")


def shown_lines(arguments: list[str]) -> list[str]:
    """The lines that stay on a terminal after a command of dylora."""
    written: list[bytes] = []

    def read(descriptor: int) -> bytes:
        content = os.read(descriptor, 4096)
        written.append(content)
        return content

    os.environ.update(COLUMNS=str(WIDTH), TERM="xterm-256color")
    status = pty.spawn([sys.executable, "-m", "dylora", *arguments], read)
    if status:
        raise SystemExit(f"dylora ended with status {os.waitstatus_to_exitcode(status)}")
    return [line for line in staying(b"".join(written).decode()) if not _BAR.search(line)]


def staying(text: str) -> list[str]:
    r"""What stays of each line where parts of it were written over; empty lines are left out.

    >>> staying("a bar\r     \rthe table\r\n")
    ['the table']
    """
    lines = [_MOVES.sub("", line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in text.split("\n")]
    return [line for line in lines if line]


def main() -> None:
    """Run the command and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="SVG file to write")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="command of dylora and its options")
    options = parser.parse_args()
    console = Console(record=True, width=WIDTH, force_terminal=True, file=open(os.devnull, "w"))  # noqa: SIM115
    title = f"python -m dylora {shlex.join(options.command)}"
    console.print(Text(f"$ {title}", "bold"))
    for line in shown_lines(options.command):
        console.print(Text.from_ansi(line))
    svg = console.export_svg(title="dylora", theme=MONOKAI, unique_id="dylora")
    options.output.write_text(_FONT.sub("", svg).replace("Fira Code,", ""), encoding="utf-8")


if __name__ == "__main__":
    main()
