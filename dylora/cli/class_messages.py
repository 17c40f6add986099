"""What jsonargparse says of a wrong class, or of a wrong option of the chosen class, in this project's words."""

import difflib
import re
from collections.abc import Mapping, Sequence

from jsonargparse import ArgumentParser

from dylora.cli.classes import KNOWN, class_at, known_class, options_of
from dylora.cli.messages import option_of, readable
from dylora.errors import InputError

_CLASS = re.compile(r"Problem with given class_path '([\w.]+)'")
_NO_OPTION = re.compile(
    r"Option '(?P<a>[\w.]+)' is not accepted|unrecognized arguments: --(?P<b>[\w.]+)"
    r"|Group '(?P<group>[\w.]+)' does not accept option '(?P<c>[\w.]+)'"
)
_NO_CLASS = re.compile(r"(?:Expected a dot import path string: |Not a valid subclass of \w+\. Got value: )(\S*)")
_NO_MODULE = re.compile(r"(No module named '[\w.]+'|has no attribute '\w+'|cannot import name '\w+')")
_REQUIRED = re.compile(r"the following arguments are required: (\S+)")


def readable_of_classes(message: str, parser: ArgumentParser) -> str:
    """A message of jsonargparse, about a class or not, in the form of this project's errors."""
    option = option_of(message)
    if option == "--":
        return readable(message, parser)
    chosen = [known for path in _CLASS.findall(message) if (known := _class_at(path))]
    if chosen and (found := _NO_OPTION.search(message)):
        name = found["a"] or found["b"] or f"{found['group']}.{found['c']}"
        options = {known: list(options_of(known_class(known))) for known in KNOWN.get(option, ())}
        options[chosen[-1].__name__] = list(options_of(chosen[-1]))
        return unknown_class_option(option, name, chosen[-1].__name__, options)
    if chosen and (found := _REQUIRED.search(message)):
        return f"{option}: {chosen[-1].__name__} needs {option}.{found[1].rstrip(',')}; give it"
    if found := _NO_MODULE.search(message):
        given = f"{(_CLASS.findall(message) or ['one'])[-1]} ({found[1]})"
        return str(InputError(option, "a class that can be imported", given, "check its path, and PYTHONPATH"))
    if found := _NO_CLASS.search(message):
        return _unknown_class(option, found[1])
    return readable(message, parser)


def unknown_class_option(option: str, name: str, chosen: str, known: Mapping[str, Sequence[str]]) -> str:
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
    names = list(KNOWN.get(option.removesuffix(".help"), ()))
    allowed = "a class path, such as my_package.MyClass" + (f", or one of {', '.join(names)}" if names else "")
    near = difflib.get_close_matches(given.lower(), [name.lower() for name in names], 1)
    meant = next((name for name in names if name.lower() == near[0]), None) if near else None
    fix = f"did you mean {meant}?" if meant else "give the full path of a class of your own"
    return str(InputError(option, allowed, given or "nothing", fix))


def _class_at(path: str) -> type | None:
    try:
        return class_at(path)
    except (ImportError, AttributeError, ValueError):
        return None
