"""Errors of one line, and the parser of the commands that train nothing; loaded without the training libraries."""

import sys
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from dylora.cli.help_text import HelpFormatter
from dylora.cli.messages import readable
from dylora.processes import process_rank
from dylora.terminal import FAULT, painted


class PlainParser(ArgumentParser):
    """The parser of the commands that train nothing themselves, with errors of one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (jsonargparse's)
        super().__init__(*args, **{"formatter_class": HelpFormatter, **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line on stderr and exit with status 2."""
        fail(readable(message, self))


def fail(message: str, status: int = 2) -> NoReturn:
    """Print one line on stderr, in the first process only, and exit with a status that is not 0."""
    if process_rank() == 0:
        sys.stderr.write(f"{painted('dylora: error:', FAULT, sys.stderr)} {' '.join(message.split())}\n")
    sys.exit(status)
