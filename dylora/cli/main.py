"""Entry of the command line."""

import sys
from collections.abc import Sequence

from lightning.fabric.utilities.exceptions import MisconfigurationException

from dylora.cli.kinds import command_line_for
from dylora.cli.parser import fail
from dylora.cli.quiet import quiet
from dylora.cli.report import report
from dylora.cli.run_arguments import complete_arguments
from dylora.cli.sweep import sweep
from dylora.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command.

    Args:
        arguments: The command and its options; those of the process if left out.
    """
    quiet()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given and given[0] == "sweep":
            sweep(given[1:], main)
            return
        if given and given[0] == "report":
            report(given[1:])
            return
        completed = complete_arguments(given)
        command_line_for(completed)(completed)
    except InputError as error:
        fail(str(error))
    except MisconfigurationException as error:
        fail(f"--trainer: {error} Check the trainer's options.")
