"""The one reader of YAML: small, plain documents that say everything once."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml  # type: ignore[import-untyped]

from dylora.errors import InputError

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000
"""Of a document with its aliases written out."""
MOST_LEVELS = 50
MOST_DIGITS = 300


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Of plain values alone: what looks like a date is a text."""

    yaml_implicit_resolvers: ClassVar = {
        sign: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
        for sign, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_NUMBER = re.compile(r"[-+.]?\d[\d_.,eE+-]*")
_FIX = "correct it there"


def read_yaml(path: Path, argument: str) -> Any:  # noqa: ANN401
    """The content of a YAML file.

    Args:
        path: The file.
        argument: The option that it was given with, for messages.

    Raises:
        InputError: If it cannot be read, or is not a document that `check_yaml` allows.
    """
    return parse_yaml(yaml_text(path, argument), str(path))


def yaml_text(path: Path, argument: str) -> str:
    """The text of a file that holds YAML, within the size that is read.

    Args:
        path: The file.
        argument: The option that it was given with, for messages.

    Raises:
        InputError: If it cannot be read, is too large, or is not UTF-8.
    """
    try:
        if not path.is_file():
            given = f"{str(path)!r}, which {'is none' if path.exists() else 'does not exist'}"
            raise InputError(argument, "a file", given, "check the path")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        _check_size(str(path), len(content))
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        given = f"other bytes at place {error.start}"
        raise InputError(str(path), "a text in UTF-8", given, "save it in UTF-8") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(argument, "a file that can be read", f"{str(path)!r} ({error})", "check the path") from error


def parse_yaml(text: str, where: str) -> Any:  # noqa: ANN401
    """The value of a YAML text.

    Args:
        text: The text.
        where: File or option that it comes from, for messages.

    Raises:
        InputError: If it is not YAML, or not a document that `check_yaml` allows.

    >>> parse_yaml("{a: [1, two]}", "--set")
    {'a': [1, 'two']}
    """
    check_yaml(text, where)
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise not_yaml(where, error) from error


def not_yaml(where: str, error: Exception) -> InputError:
    """What is to be said of a text that is not YAML."""
    problem = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return InputError(where, "YAML of plain values", f"{place}{problem}", _FIX)


def check_yaml(text: str, where: str) -> None:
    """Refuse a YAML text that would take for ever to read, or that says something twice; another error is left to read.

    Args:
        text: The text.
        where: File or option that it comes from, for messages.

    Raises:
        InputError: If it is too large or nested too deeply, if its aliases make it endless or too large, if a key
            stands twice in a mapping, or if a number is written in other digits than 0 to 9, or in too many.

    >>> check_yaml("{a: 1, a: 2}", "run.yaml")
    Traceback (most recent call last):
    dylora.errors.InputError: run.yaml: must be without repeated keys, got 'a' twice (line 1); delete one of the two
    """
    _check_size(where, len(text))
    try:
        _Check(where).document(yaml.parse(text, Loader=_Loader))
    except (yaml.YAMLError, UnicodeError) as error:
        if "nesting depth" in str(error):  # newer parsers have a limit of their own, and find it first
            raise _too_deep(where) from error


def _check_size(where: str, size: int) -> None:
    if size > MOST_BYTES:
        raise InputError(where, f"at most {MOST_BYTES} bytes of YAML", "more", "keep data in files of its own")


def _too_deep(where: str) -> InputError:
    return InputError(where, f"nested at most {MOST_LEVELS} levels deep", "deeper values", _FIX)


class _Check:
    """One document's events; no value is built, so that what is refused costs nothing."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._sizes: dict[str, int] = {}  # of what anchors name, with its aliases written out
        self._open: set[str] = set()

    def document(self, events: Iterator[Any]) -> None:
        """Check all values of the text."""
        for event in events:
            if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent | yaml.DocumentEndEvent):
                if isinstance(event, yaml.StreamEndEvent):
                    return
                self._value(event, events, 0)

    def _value(self, event: Any, events: Iterator[Any], level: int) -> int:  # noqa: ANN401
        """The number of plain values in a value."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor)
        if level > MOST_LEVELS:
            raise _too_deep(self.where)
        anchor = event.anchor
        if isinstance(event, yaml.ScalarEvent):
            self._number(event)
            size = 1
        else:
            self._open |= {anchor} - {None}
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            size = self._mapping(events, level) if is_mapping else self._sequence(events, level)
            self._open -= {anchor}
        if size > MOST_VALUES:
            raise InputError(self.where, f"at most {MOST_VALUES} values, aliases written out", "more", _FIX)
        if anchor is not None:
            self._sizes[anchor] = size
        return size

    def _alias(self, name: str) -> int:
        if name in self._open:
            raise InputError(self.where, "a document with an end", f"*{name} inside &{name}", _FIX)
        return self._sizes.get(name, 1)

    def _sequence(self, events: Iterator[Any], level: int) -> int:
        size = 1
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            size += self._value(event, events, level + 1)
        return size

    def _mapping(self, events: Iterator[Any], level: int) -> int:
        size, keys = 1, set[str]()
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if isinstance(event, yaml.ScalarEvent) and event.value != "<<":
                self._once(event, keys)
            size += self._value(event, events, level + 1) + self._value(next(events), events, level + 1)
        return size

    def _once(self, key: Any, keys: set[str]) -> None:  # noqa: ANN401
        if key.value in keys:
            given = f"{key.value!r} twice (line {key.start_mark.line + 1})"
            raise InputError(self.where, "without repeated keys", given, "delete one of the two")
        keys.add(key.value)

    def _number(self, scalar: Any) -> None:  # noqa: ANN401
        """Numbers are written plainly; Python alone would read digits of any script as well."""
        if scalar.style or not _NUMBER.fullmatch(scalar.value):
            return
        if not scalar.value.isascii():
            raise InputError(self.where, "numbers in the digits 0 to 9", repr(scalar.value), "write it in those")
        if len(scalar.value) > MOST_DIGITS:
            given = f"{len(scalar.value)} characters, {scalar.value[:12]}…"
            raise InputError(self.where, f"numbers of at most {MOST_DIGITS} digits", given, "write a smaller one")
