"""Rows with named columns, each row with the place it came from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dylora.errors import InputError

RANK = "rank"
"""The column of the rank that a row is to be predicted at."""


@dataclass(frozen=True)
class Table:
    """The rows of a file, or of a split on the hub.

    Attributes:
        origin: The file or the split, for messages.
        names: The columns' names, no two alike.
        rows: The values of each row, in the order of the names; None where a row has no value.
        unit: What `numbers` count: `line` or `row`.
        numbers: For each row the number, from 1, of the line it begins on, or of the row.
    """

    origin: str
    names: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    unit: str
    numbers: Sequence[int]

    def place(self, row: int) -> str:
        """Where a row stands, such as `train.csv, line 7`.

        Args:
            row: Its number in `rows`, from 0.
        """
        return f"{self.origin}, {self.unit} {self.numbers[row]}"

    def column(self, name: str, option: str) -> list[Any]:
        """The values of a column.

        Args:
            name: The column.
            option: The option that names it, for the message.

        Raises:
            InputError: If there is no such column; the message lists those that exist.
        """
        if name not in self.names:
            allowed = f"a column of {self.origin} ({', '.join(self.names)})"
            raise InputError(option, allowed, repr(name), "name one that exists")
        place = self.names.index(name)
        return [row[place] for row in self.rows]


def check_table(table: Table) -> Table:
    """The table itself, if it has rows and no name twice.

    Raises:
        InputError: If it has no rows, or two columns have the same name.
    """
    refuse_twice(table.names, table.origin)
    if not table.rows:
        given = "a header alone" if table.names else "an empty file"
        raise InputError(table.origin, "a file with rows", given, "add rows, or give another file")
    return table


def refuse_twice(names: Sequence[str], place: str) -> None:
    """Refuse column names of which two are alike.

    Args:
        names: The names.
        place: Where they stand.

    Raises:
        InputError: If one comes twice.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(place, "columns of different names", f"{twice[0]!r} twice", "rename one of them")


def row_ranks(table: Table) -> list[int]:
    """The rank that each row is to be predicted at; whether the adapter has it is found out there.

    Args:
        table: With a column `rank`.

    Raises:
        InputError: If a row's is no whole number from 1.
    """
    ranks = []
    for row, value in enumerate(table.column(RANK, RANK)):
        text = str(value)
        if not text.isdecimal() or int(text) < 1:
            fix = "give every row one, or call the column otherwise"
            raise InputError(f"{table.place(row)}, {RANK}", "a whole number from 1", repr(value), fix)
        ranks.append(int(text))
    return ranks
