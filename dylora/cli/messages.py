"""What jsonargparse says of a wrong option, in one line that names the option as it is written."""

import difflib
import re
from collections.abc import Mapping, Sequence

from dylora.cli.classes import KNOWN, class_at, known_class, options_of
from dylora.errors import InputError

_KEY = re.compile(r'Parser key "([\w.]+)"')
_CLASS = re.compile(r"Problem with given class_path '([\w.]+)'")
_NO_OPTION = re.compile(r"Option '([\w.]+)' is not accepted|unrecognized arguments: --([\w.]+)")
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_NO_MODULE = re.compile(r"(No module named '[\w.]+'|has no attribute '\w+'|cannot import name '\w+')")
_EXPECTED = re.compile(r"Expected a ([^\n]+?)\. Got value: (.*)")
_UNION = re.compile(r"Errors:\n(.*)\n\s*Given value type: .*\n\s*Given value: (.*)", re.DOTALL)
_REQUIRED = re.compile(r"the following arguments are required: (\S+)")
_FILE = re.compile(r"File does not exist: '(.*)'")


def readable(message: str) -> str:
    r"""A message of jsonargparse in the words of this project's other errors; one of another kind as it is.

    >>> print(readable('Parser key "trainer.devices":\n Expected a <class \'int\'>. Got value: two'))
    --trainer.devices: must be int, got two; --help describes it
    """
    option = "--" + ".".join(dict.fromkeys(_KEY.findall(message)))
    if option == "--":
        return message
    chosen = [known for path in _CLASS.findall(message) if (known := _class_at(path))]
    if chosen and (found := _NO_OPTION.search(message)):
        options = {name: list(options_of(known_class(name))) for name in KNOWN.get(option, ())}
        options[chosen[-1].__name__] = list(options_of(chosen[-1]))
        return unknown_option(option, found[1] or found[2], chosen[-1].__name__, options)
    if found := _REQUIRED.search(message):
        return f"{option}: {chosen[-1].__name__ if chosen else 'it'} needs {option}.{found[1].rstrip(',')}"
    if found := _FILE.search(message):
        return str(InputError(option, "a file", f"{found[1]!r}, which does not exist", "check the path"))
    if found := _NO_MODULE.search(message):
        given = f"{(_CLASS.findall(message) or ['one'])[-1]} ({found[1]})"
        return str(InputError(option, "a class that can be imported", given, "check its path, and PYTHONPATH"))
    if found := _NO_CLASS.search(message):
        return _unknown_class(option, found[1])
    if found := _EXPECTED.search(message):
        return str(InputError(option, _type(found[1]), found[2], "--help describes it"))
    return _union(option, message)


def unknown_option(option: str, name: str, chosen: str, known: Mapping[str, Sequence[str]]) -> str:
    """What to say of an option that a class does not have.

    Args:
        option: The option that takes the class.
        name: The unknown option, without what stands before it.
        chosen: Short name of the class.
        known: The options of this class and of the known ones.
    """
    full = f"{option}.{name}"
    near = difflib.get_close_matches(name, known[chosen], 1)
    owners = [owner for owner in KNOWN.get(option, ()) if name in known[owner]]
    if owners:
        fix = f"it is one of {', '.join(owners)}: choose the class with {option}"
    else:
        fix = f"did you mean {option}.{near[0]}?" if near else f"{option}.help {chosen} lists them"
    return f"{full}: {chosen} has no such option; {fix}"


def _unknown_class(option: str, given: str) -> str:
    names = list(KNOWN.get(option, ()))
    allowed = "a class path, such as my_package.MyClass" + (f", or one of {', '.join(names)}" if names else "")
    near = difflib.get_close_matches(given.lower(), [name.lower() for name in names], 1)
    meant = next((name for name in names if name.lower() == near[0]), None) if near else None
    fix = f"did you mean {meant}?" if meant else "give the full path of a class of your own"
    return str(InputError(option, allowed, given, fix))


def _union(option: str, message: str) -> str:
    """Several types are allowed: name them all, if there is nothing else to say."""
    found = _UNION.search(message)
    errors = [line.strip().removeprefix("- ") for line in found[1].split("\n")] if found else []
    if not (found and all(error.startswith("Expected a ") for error in errors)):
        return f"{option}: {' '.join(_KEY.sub('', message).split()).lstrip(': ')}"
    types = " or ".join(_type(error.removeprefix("Expected a ")) for error in errors)
    return str(InputError(option, types, found[2], "--help describes it"))


def _type(text: str) -> str:
    """A type in words.

    >>> _type("<class 'int'>"), _type("typing.Literal['a', 'b']"), _type("<class 'NoneType'>")
    ('int', 'one of a, b', 'null')
    """
    if text.startswith("typing.Literal["):
        return "one of " + text.removeprefix("typing.Literal[").removesuffix("]").replace("'", "")
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).replace("NoneType", "null")


def _class_at(path: str) -> type | None:
    try:
        return class_at(path)
    except (ImportError, AttributeError, ValueError):
        return None
