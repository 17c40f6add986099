"""Entry of the command line."""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

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
    """Load one command and run it."""
    arguments = with_config_files(arguments)
    check_encoding(arguments)
    with _without_collecting_garbage():
        work = _work_of(arguments)
    quiet()  # again: handlers of what was loaded are there now
    work()


@contextmanager
def _without_collecting_garbage() -> Iterator[None]:
    """Load the training libraries sooner: they make a million objects, none of which is garbage.

    What was loaded is not looked through afterwards either.
    """
    if not gc.isenabled() or "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _work_of(arguments: list[str]) -> Callable[[], object]:
    """What a command does; each loads what it needs, for the training libraries take seconds to load.

    Raises:
        InputError: If there is no such command, or it is known not to have an option.
    """
    command, rest = (arguments or ["none"])[0], arguments[1:]
    if command in ("-h", "--help"):
        return lambda: print(overview())
    if command == "sweep":
        from dylora.cli.sweep import sweep

        return partial(sweep, rest, main)
    if command == "report":
        from dylora.cli.report import report

        return partial(report, rest)
    if command == "score":
        from dylora.cli.score import score_files

        return partial(score_files, rest)
    if command == "choose":
        from dylora.cli.choose import choose_rank

        return partial(choose_rank, rest)
    if command == "budget":
        from dylora.cli.budget import share_budget

        return partial(share_budget, rest)
    if command == "convert":
        from dylora.cli.convert import convert_peft

        return partial(convert_peft, rest)
    if command == "export":
        from dylora.cli.export import export

        return partial(export, rest)
    if command not in COMMANDS:
        raise InputError("command", "one of " + ", ".join(COMMANDS), command, "see python -m dylora --help")
    return _trainer_command(command, arguments)


def _trainer_command(command: str, arguments: list[str]) -> Callable[[], object]:
    """`fit`, `validate`, `test` or `predict`; a known mistake is refused before anything is loaded."""
    rest = arguments[1:]
    refuse_old_options(command, rest)
    if command == "predict" and (option_values(rest, "--text") or option_values(rest, "--text_pair")):
        from dylora.cli.ask import ask

        return partial(ask, rest)
    if words := unknown_option_words(command, completed(arguments)[0][1:]):
        fail(words)
    from dylora.cli.lightning_cli import run_trainer_command

    return partial(run_trainer_command, arguments)
