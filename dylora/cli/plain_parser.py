"""Errors of one line, and the parser of the commands that train nothing; loaded without the training libraries."""

import difflib
import re
import sys
from collections.abc import Iterable
from typing import NoReturn

from jsonargparse import ArgumentParser

from dylora.processes import process_rank

_UNKNOWN = re.compile(r"unrecognized arguments: (--?[\w.-]+)")


class PlainParser(ArgumentParser):
    """The parser of the commands that train nothing themselves, with errors of one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line on stderr and exit with status 2."""
        fail(with_nearest(message, self))


def fail(message: str) -> NoReturn:
    """Print one line on stderr, in the first process only, and exit with status 2."""
    if process_rank() == 0:
        sys.stderr.write(f"dylora: error: {' '.join(message.split())}\n")
    sys.exit(2)


def with_nearest(message: str, parser: ArgumentParser) -> str:
    """The message, and for an unknown option the known one that is most like it."""
    if not (found := _UNKNOWN.search(message)):
        return message
    commands = parser._subcommands_action._name_parser_map.values() if parser._subcommands_action else ()
    known = {option for each in (parser, *commands) for option in each._option_string_actions}
    return f"{message}; {nearest(found[1], known)}"


def nearest(option: str, known: Iterable[str]) -> str:
    """What to write in the place of an unknown option."""
    near = difflib.get_close_matches(option, sorted(known), 1)
    return f"did you mean {near[0]}?" if near else "--help lists the options"
