"""What mkdocs adds while it builds: the help of every command, as the parser prints it."""

import io
from contextlib import redirect_stdout
from typing import Any

from dylora.cli import main
from dylora.cli.commands import COMMANDS

MARK = "<!-- the help of every command -->"


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401 (mkdocs passes page, configuration and files)
    """Put the help of the commands in the place of the mark."""
    return markdown.replace(MARK, command_reference()) if MARK in markdown else markdown


def command_reference() -> str:
    """A section for each command: what it does, and its help."""
    sections = [f"## {name}\n\n{text}\n\n```text\n{help_of(name)}\n```" for name, text in COMMANDS.items()]
    return "\n\n".join(sections)


def help_of(command: str) -> str:
    """What `python -m dylora COMMAND --help` prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        try:
            main([command, "--help"])
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"{command} --help ended with status {end.code}") from end
    return printed.getvalue().strip()
