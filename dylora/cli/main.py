"""Entry of the command line."""

import sys
from collections.abc import Sequence

from dylora.cli.argument_texts import check_encoding
from dylora.cli.commands import COMMANDS, overview
from dylora.cli.old_configs import refuse_old_options
from dylora.cli.option_index import unknown_option_words
from dylora.cli.plain_parser import fail
from dylora.cli.quiet import quiet
from dylora.cli.run_arguments import completed, option_values
from dylora.errors import DivergedError, InputError
from dylora.shipped import with_config_files
from dylora.signals import ending_in_one_line

# Options that the library names without their group; a test compares them with the classes that take them.
_ADAPTER = ("max_rank", "min_rank", "rank_step", "alpha", "scaling", "dropout", "init", "target_modules")
_MODEL = ("warmup_ratio", "warmup_steps")
_CHOICE = ("tolerance", "confidence")
_RANK_SAMPLING = (
    *("recipe", "distribution", "p", "weights", "objective", "frozen"),
    *("ordered_decay", "distillation", "polish", "compensation"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command.

    Args:
        arguments: The command and its options; those of the process if left out.
    """
    quiet()
    try:
        with ending_in_one_line():
            _run(list(sys.argv[1:] if arguments is None else arguments))
    except InputError as error:
        fail(_as_option(error.argument) + str(error).removeprefix(error.argument))
    except DivergedError as error:
        fail(str(error), status=1)


def _as_option(argument: str) -> str:
    """An argument of the library, or a key of a configuration file, as the option that sets it.

    >>> _as_option("data.task"), _as_option("data"), _as_option("rank_step"), _as_option("--rank")
    ('--data.task', '--data', '--model.adapter.rank_step', '--rank')
    """
    if argument == "data" or argument.startswith(("data.", "model.", "rank_sampling.")):
        return f"--{argument}"
    if argument in _ADAPTER:
        return f"--model.adapter.{argument}"
    if argument in _CHOICE:
        return f"--{argument}"
    if argument in _MODEL:
        return f"--model.{argument}"
    return f"--rank_sampling.{argument}" if argument in _RANK_SAMPLING else argument


def _run(arguments: list[str]) -> None:
    """Choose the command; each loads what it needs, for the training libraries take seconds to load."""
    arguments = with_config_files(arguments)
    command, rest = (arguments or ["none"])[0], arguments[1:]
    check_encoding(arguments)
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
    elif command == "choose":
        from dylora.cli.choose import choose_rank

        choose_rank(rest)
    elif command == "budget":
        from dylora.cli.budget import share_budget

        quiet()  # again: Lightning's handlers are there now
        share_budget(rest)
    elif command == "convert":
        from dylora.cli.convert import convert_peft

        convert_peft(rest)
    elif command == "export":
        from dylora.cli.export import export

        export(rest)
    elif command in COMMANDS:
        refuse_old_options(command, rest)
        if command == "predict" and (option_values(rest, "--text") or option_values(rest, "--text_pair")):
            from dylora.cli.ask import ask

            ask(rest)
            return
        if words := unknown_option_words(command, completed(arguments)[0][1:]):
            fail(words)
        from dylora.cli.lightning_cli import run_trainer_command

        quiet()  # again: Lightning's handlers are there now
        run_trainer_command(arguments)
    else:
        raise InputError("command", "one of " + ", ".join(COMMANDS), command, "see python -m dylora --help")
