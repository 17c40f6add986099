"""What a command is about, sentences or text: told by `--set`, on the command line or in a configuration file."""

from collections.abc import Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from lightning.fabric.utilities.exceptions import MisconfigurationException

from dylora.cli.base import DyLoRACLI
from dylora.cli.plain_parser import fail
from dylora.cli.run_arguments import complete_arguments, option_values
from dylora.cli.sentences import SentenceCLI
from dylora.cli.text import SETS, text_cli
from dylora.errors import InputError


def command_line_for(arguments: Sequence[str]) -> type[DyLoRACLI]:
    """The commands that fit the arguments: text generation if they name a set, sentence tasks otherwise.

    Raises:
        InputError: If there is no such set.
    """
    name = _set_name(arguments)
    if name is None:
        return SentenceCLI
    if name not in SETS:
        raise InputError("--set", "one of " + ", ".join(SETS), repr(name), "choose a set from the list")
    return text_cli(name)


def run_trainer_command(arguments: Sequence[str]) -> None:
    """Run one of the commands that train or evaluate.

    Raises:
        InputError: If the arguments are wrong.
    """
    completed = complete_arguments(arguments)
    try:
        command_line_for(completed)(completed)
    except MisconfigurationException as error:
        fail(f"--trainer: {error} Check the trainer's options.")


def _set_name(arguments: Sequence[str]) -> str | None:
    if given := option_values(arguments, "--set"):
        return given[-1]
    found = None
    for path in [*option_values(arguments, "--config"), *option_values(arguments, "-c")]:
        found = _set_of(Path(path)) or found
    return found


def _set_of(path: Path) -> str | None:
    """The `set` that a configuration file names; the parser reports files that cannot be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return content.get("set") if isinstance(content, dict) else None
