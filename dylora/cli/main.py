"""Entry of the command line."""

import sys
from collections.abc import Sequence

from lightning.fabric.utilities.exceptions import MisconfigurationException

from dylora.cli.commands import COMMANDS, overview
from dylora.cli.kinds import command_line_for
from dylora.cli.parser import fail
from dylora.cli.quiet import quiet
from dylora.cli.report import report
from dylora.cli.run_arguments import complete_arguments
from dylora.cli.score import score_files
from dylora.cli.sweep import sweep
from dylora.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command.

    Args:
        arguments: The command and its options; those of the process if left out.
    """
    quiet()
    try:
        _run(list(sys.argv[1:] if arguments is None else arguments))
    except InputError as error:
        fail(str(error))
    except MisconfigurationException as error:
        fail(f"--trainer: {error} Check the trainer's options.")


def _run(arguments: list[str]) -> None:
    command, rest = (arguments or ["none"])[0], arguments[1:]
    if command in ("-h", "--help"):
        print(overview())
    elif command == "sweep":
        sweep(rest, main)
    elif command == "report":
        report(rest)
    elif command == "score":
        score_files(rest)
    elif command in COMMANDS:
        completed = complete_arguments(arguments)
        command_line_for(completed)(completed)
    else:
        raise InputError("command", "one of " + ", ".join(COMMANDS), command, "see python -m dylora --help")
