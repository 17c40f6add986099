"""What is refused of a command line before it is parsed: other bytes than text, and YAML out of all bounds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dylora.cli.run_arguments import option_values
from dylora.errors import InputError
from dylora.runs.yaml_text import check_yaml, parse_yaml, yaml_text


def check_encoding(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not text, such as bytes of another encoding.

    Raises:
        InputError: Naming the option.
    """
    for option, value in _pairs(arguments):
        if any("\ud800" <= sign <= "\udfff" for sign in value):
            given = f"{value[:60]!a}, with bytes that are none"
            raise InputError(option, "text in UTF-8", given, "write it in UTF-8")


def check_yaml_of(arguments: Sequence[str]) -> None:
    """Refuse values and configuration files that the one reader of YAML refuses, before another one reads them.

    Args:
        arguments: The options of a command that trains or evaluates.

    Raises:
        InputError: Naming the option, or the file and what is wrong in it.
    """
    for option, value in _pairs(arguments):
        check_yaml(value, option)
    for name in ("--config", "-c"):
        for value in option_values(arguments, name):
            if not value.lstrip().startswith("{"):  # options themselves, in the place of a file
                _check_configuration(Path(value))


def _check_configuration(path: Path) -> None:
    content = parse_yaml(yaml_text(path, "--config"), str(path))
    if not isinstance(content, dict):
        given = "nothing" if content is None else f"a {type(content).__name__}"
        raise InputError(str(path), "options with their values", given, "write option: value")
    if wrong := [key for key in content if not isinstance(key, str)]:
        raise InputError(str(path), "options with their values", f"the key {wrong[0]!r}", "write names as keys")


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each value with its option; an argument without an option stands for itself."""
    option = ""
    for argument in arguments:
        if argument.startswith("--"):
            option, sign, value = argument.partition("=")
            if sign:
                yield option, value
                option = ""
        else:
            yield option or argument[:20], argument
            option = ""
