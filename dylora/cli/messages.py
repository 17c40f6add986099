"""What jsonargparse says of a wrong option, in this project's words; loaded without the training libraries."""

import difflib
import re
from collections.abc import Callable, Iterable

from jsonargparse import ArgumentParser

from dylora.errors import InputError

HELP = "--help describes it"

_KEY = re.compile(r'Parser key "([\w.]+)"')
_EXPECTED = re.compile(r"Expected a ([^\n]+?)\. Got value: (.*)", re.DOTALL)
_UNION = re.compile(r"Errors:\n(.*)\n\s*Given value type: .*\n\s*Given value: (.*)", re.DOTALL)


def readable(message: str, parser: ArgumentParser) -> str:
    r"""A message of jsonargparse in the form of this project's errors: the option, what is allowed, what was given.

    >>> message = 'Parser key "trainer.devices":\n Expected a <class \'int\'>. Got value: two'
    >>> print(readable(message, ArgumentParser()))
    --trainer.devices: must be int, got two; --help describes it
    """
    option = option_of(message)
    if several := _union(option, message):
        return str(several)
    for pattern, told in _FORMS:
        if found := pattern.search(message):
            return str(told(option, found, parser))
    return str(_another(option, message))


def option_of(message: str) -> str:
    """The option that a message is about; `--` for none."""
    return "--" + ".".join(dict.fromkeys(_KEY.findall(message)))


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str | None:
    """A question for the known name that is most like another one; None where there is no such name."""
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"did you mean {prefix}{near[0]}?" if near else None


def unknown_option(name: str, parser: ArgumentParser) -> InputError:
    """What is to be said of an option that a command does not have."""
    options = options_of_parser(parser)
    fix = nearest(name, options) or "--help lists the options"
    return InputError(name, "an option of the command", "an unknown one", fix)


def options_of_parser(parser: ArgumentParser) -> set[str]:
    """All options as they are written, those of subcommands too."""
    commands = parser._subcommands_action._name_parser_map.values() if parser._subcommands_action else ()
    return {option for each in (parser, *commands) for option in each._option_string_actions}


def _unrecognised(option: str, found: re.Match[str], parser: ArgumentParser) -> InputError:
    if found[1].startswith("-"):
        return unknown_option(found[1].partition("=")[0], parser)
    return InputError(
        found[1], "an option, such as --config FILE", "an argument of its own", "--help lists the options"
    )


def _unknown_key(option: str, found: re.Match[str], parser: ArgumentParser) -> InputError:
    """A key of a configuration file."""
    keys = {name.removeprefix("--") for name in options_of_parser(parser) if name.startswith("--")}
    fix = nearest(found[2], keys) or "--help lists the options"
    return InputError(found[2], f"one of the keys of a configuration of {found[1]}", "an unknown one", fix)


def _expected(option: str, found: re.Match[str], parser: ArgumentParser) -> InputError:
    return InputError(option, _type(found[1]), found[2].partition("\n")[0].strip() or "nothing", HELP)


def _missing_file(option: str, found: re.Match[str], parser: ArgumentParser) -> InputError:
    return InputError(option, "a file", f"{found[1]!r}, which does not exist", "check the path")


def _wants_a_value(option: str, found: re.Match[str], parser: ArgumentParser) -> InputError:
    name = found[1].split("/")[-1]
    return InputError(name, "followed by a value", "none" if "expected" in found[2] else found[2], HELP)


def _required(option: str, found: re.Match[str], parser: ArgumentParser) -> InputError:
    names = ", ".join(name if option == "--" else f"{option}.{name}" for name in found[1].split(", "))
    return InputError(names, "given", "nothing", "--help describes the arguments")


def _not_a_group(option: str, found: re.Match[str], parser: ArgumentParser) -> InputError:
    return InputError(option, "options with their values, or a file with some", found[1], HELP)


def _union(option: str, message: str) -> InputError | None:
    """Several types are allowed: name them all, if there is nothing else to say."""
    found = _UNION.search(message)
    errors = [line.strip().removeprefix("- ") for line in found[1].split("\n")] if found else []
    if not (found and errors and all(error.startswith("Expected a ") for error in errors)):
        return None
    types = [_type(error.removeprefix("Expected a ").partition(". Got value")[0]) for error in errors]
    return InputError(option, " or ".join(dict.fromkeys(types)), found[2] or "nothing", HELP)


def _another(option: str, message: str) -> InputError:
    """A message that no form is known for: it stands where the given value does."""
    text = " ".join(_KEY.sub("", message).split()).lstrip(": ")
    return InputError(
        "the options" if option == "--" else option, "as --help describes", f"another ({text})", "correct it"
    )


def _type(text: str) -> str:
    """A type in words.

    >>> _type("<class 'int'>"), _type("typing.Literal['a', 'b']"), _type("<class 'NoneType'>")
    ('int', 'one of a, b', 'null')
    """
    if text.startswith("typing.Literal["):
        return "one of " + text.removeprefix("typing.Literal[").removesuffix("]").replace("'", "")
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).replace("NoneType", "null")
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str], ArgumentParser], InputError]], ...] = (
    (re.compile(r"unrecognized arguments: (\S+)"), _unrecognised),
    (re.compile(r"Subcommand '(\w+)' does not accept option '([^']+)'"), _unknown_key),
    (re.compile(r"argument (\S+): (expected .*|.*)"), _wants_a_value),
    (re.compile(r"the following arguments are required: (.+)"), _required),
    (re.compile(r"File does not exist: '(.*)'"), _missing_file),
    (re.compile(r"Unable to load config ['\"](.*?)['\"]"), _not_a_group),
    (_EXPECTED, _expected),
)
