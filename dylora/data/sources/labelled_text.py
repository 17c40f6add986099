"""Texts and labels out of a table, every value checked and told with its place."""

import math
import re
from collections.abc import Sequence
from typing import Any

from dylora.data.sources.table import Table
from dylora.errors import InputError
from dylora.tasks import TASKS

_USUAL = sorted(
    {task.text_fields for task in TASKS.values()} | {("text", "text_pair"), ("text",)},
    key=lambda names: (-len(names), names),
)
"""Names that text columns usually have, pairs first: a pair is not to be taken for its first half."""
_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?")


def find_text_columns(table: Table) -> tuple[str, ...]:
    """The one or two columns with the usual names of texts, such as `text`, or `premise` and `hypothesis`.

    Raises:
        InputError: If there are none; the message lists the columns.
    """
    for names in _USUAL:
        if set(names) <= set(table.names):
            return names
    given = f"none in {table.origin}, which has {', '.join(table.names)}"
    raise InputError("data.text_columns", "the names of one or two columns", given, "name those that hold the text")


def texts(table: Table, column: str) -> list[str]:
    """The texts of a column.

    Raises:
        InputError: If there is no such column, or a row has no text in it.
    """
    values = table.column(column, "data.text_columns")
    for row, value in enumerate(values):
        if not isinstance(value, str):
            given = "nothing" if value is None else f"{value!r}, a {type(value).__name__}"
            fix = "correct it, or name another column with --data.text_columns"
            raise InputError(table.place(row), f"text in column {column!r}", given, fix)
    return values


def class_names(table: Table, column: str) -> tuple[str, ...]:
    """The classes of a column: integers by size, names by the alphabet.

    Raises:
        InputError: If there is no such column, a row has no class in it, or all rows have the same.
    """
    found = set(_classes(table, column))
    if len(found) < 2:
        fix = "add rows of another class, or name another column with --data.label_column"
        raise InputError(table.origin, f"rows of two classes or more in {column!r}", f"{min(found)!r} alone", fix)
    if all(map(_INTEGER.fullmatch, found)):
        return tuple(sorted(found, key=lambda name: (int(name), name)))
    return tuple(sorted(found))


def class_ids(table: Table, column: str, labels: Sequence[str]) -> list[int]:
    """The class of each row, as its place in `labels`.

    Raises:
        InputError: If there is no such column, or a row has none of the labels.
    """
    places = {label: place for place, label in enumerate(labels)}
    found = _classes(table, column)
    for row, name in enumerate(found):
        if name not in places:
            fix = "correct it, or train on rows of it too"
            raise InputError(table.place(row), f"one of the classes {shortened(labels)}", repr(name), fix)
    return [places[name] for name in found]


def scores(table: Table, column: str) -> list[float]:
    """The number of each row.

    Raises:
        InputError: If there is no such column, or a row has no finite number in it.
    """
    numbers = []
    for row, value in enumerate(table.column(column, "data.label_column")):
        number = _number(value)
        if not math.isfinite(number):
            fix = "correct it, or set --data.task_type classification"
            raise InputError(table.place(row), f"a number in column {column!r}", _shown(value), fix)
        numbers.append(number)
    return numbers


def shortened(labels: Sequence[str]) -> str:
    """Some class names for a message.

    >>> shortened(["a", "b"]), shortened([str(i) for i in range(30)])
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, … (30)')
    """
    return ", ".join(labels) if len(labels) <= 8 else f"{', '.join(labels[:8])}, … ({len(labels)})"


def _classes(table: Table, column: str) -> list[str]:
    values = table.column(column, "data.label_column")
    return [_class(value, table, row, column) for row, value in enumerate(values)]


def _class(value: Any, table: Table, row: int, column: str) -> str:  # noqa: ANN401 (as files have it)
    if isinstance(value, float) or (isinstance(value, str) and _DECIMAL.fullmatch(value)):
        fix = "write classes as names or integers, or set --data.task_type regression"
        raise InputError(table.place(row), f"a class in column {column!r}", f"the number {value}", fix)
    if value is None or value == "" or not isinstance(value, str | int):
        fix = "give it one, or leave the row out"
        raise InputError(table.place(row), f"a class in column {column!r}", _shown(value), fix)
    return str(value)


def _number(value: Any) -> float:  # noqa: ANN401 (as files have it)
    """The number that a value is or writes, else NaN."""
    try:
        return math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _shown(value: object) -> str:
    return "nothing" if value is None or value == "" else repr(value)
