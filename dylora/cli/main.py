"""Entry of the command line."""

import sys
from collections.abc import Sequence

from dylora.cli.commands import COMMANDS, overview
from dylora.cli.old_configs import refuse_old_options
from dylora.cli.plain_parser import fail
from dylora.cli.quiet import quiet
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


def _run(arguments: list[str]) -> None:
    """Choose the command; each loads what it needs, for the training libraries take seconds to load."""
    command, rest = (arguments or ["none"])[0], arguments[1:]
    if command in ("-h", "--help"):
        print(overview())
    elif command == "sweep":
        from dylora.cli.sweep import sweep

        sweep(rest, main)
    elif command == "report":
        from dylora.cli.report import report

        report(rest)
    elif command == "score":
        from dylora.cli.score import score_files

        score_files(rest)
    elif command == "convert":
        from dylora.cli.convert import convert_peft

        convert_peft(rest)
    elif command == "export":
        from dylora.cli.export import export

        export(rest)
    elif command in COMMANDS:
        refuse_old_options(command, rest)
        from dylora.cli.lightning_cli import run_trainer_command

        quiet()  # again: Lightning's handlers are there now
        run_trainer_command(arguments)
    else:
        raise InputError("command", "one of " + ", ".join(COMMANDS), command, "see python -m dylora --help")
