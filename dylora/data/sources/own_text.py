"""The rows of a user's own text data: from files or from a set on the hub, with classes or scores."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from datasets import Dataset  # type: ignore[import-untyped]

from dylora.data.sources.holdout import Holdout, held_out_rows
from dylora.data.sources.hub_table import HubSet, read_hub_split
from dylora.data.sources.labelled_text import class_ids, class_names, find_text_columns, scores, texts
from dylora.data.sources.table import RANK, Table, row_ranks
from dylora.data.sources.table_files import read_table
from dylora.errors import InputError

TaskType = Literal["classification", "regression"]
FIELDS = ("text", "text_pair")
"""What the text columns are called in the rows, whatever they are called in the files."""


@dataclass(frozen=True)
class Columns:
    """What is read of each row.

    Attributes:
        text: The one or two columns of text; none means those with the usual names.
        label: The column of the class, or of the score.
        task_type: `classification` or `regression`.
        labels: Class names in the order of their ids; none infers them from the training rows.
    """

    text: tuple[str, ...] | None
    label: str
    task_type: TaskType
    labels: tuple[str, ...] | None


class OwnTextSource:
    """Rows of `train`, `validation`, `test` and `predict`.

    Args:
        origins: Where each split lies: a file, or the name of a split of the hub's set; those that there are.
        hub: The set on the hub, if it is one.
        columns: What is read of each row.
        holdout: How validation rows are split off where there is no origin of them.
    """

    def __init__(self, origins: Mapping[str, str], hub: HubSet | None, columns: Columns, holdout: Holdout) -> None:
        self._origins = origins
        self._hub = hub
        self._columns = columns
        self._holdout = holdout
        self._tables: dict[str, Table] = {}
        self._made: dict[str, Dataset] = {}

    def splits(self) -> tuple[str, ...]:
        """Those that have an origin, and the validation rows that are split off."""
        return tuple(dict.fromkeys((*self._origins, "validation")))

    @cached_property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of text, in the first split that is there.

        Raises:
            InputError: If none of them has a usual name, and none is given.
        """
        if self._columns.text is not None:
            return self._columns.text
        there = [split for split, origin in self._origins.items() if self._hub or Path(origin).is_file()]
        return find_text_columns(self._table((there or list(self._origins))[0]))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of their ids, of the training rows if they are not given; empty for scores.

        Raises:
            InputError: If the training rows cannot be read, or have one class alone.
        """
        if self._columns.task_type == "regression":
            return ()
        if self._columns.labels is not None:
            return self._columns.labels
        return class_names(self._table("train"), self._columns.label)

    def key(self, split: str) -> str:
        """Hash of the rows: the same for a file of another type with the same rows."""
        return hashlib.sha256(json.dumps(self.rows(split)[:]).encode()).hexdigest()

    def rows(self, split: str) -> Dataset:
        """The rows: `text`, with two columns `text_pair`, `index`, and `labels` but for `predict`.

        Rows for `predict` that have a column `rank` keep it: the rank that each is to be predicted at.

        Raises:
            InputError: If the split cannot be read, or a value in it is not what it has to be.
        """
        if split not in self._made:
            self._made[split] = self._rows(split)
        return self._made[split]

    def held_out(self) -> bool:
        """Whether validation rows are split off the training rows."""
        return "validation" not in self._origins

    def _rows(self, split: str) -> Dataset:
        if not (self.held_out() and split in ("train", "validation")):
            return self._read(split)
        rows = self._read("train")
        classes = rows["labels"][:] if self._columns.task_type == "classification" else [0] * len(rows)
        held = held_out_rows(classes, self._holdout)
        if not held:
            allowed = f"a share that is a row or more of the {len(rows)} in {self._origins['train']}"
            raise InputError("data.validation_share", allowed, self._holdout.share, "give a larger one")
        kept = set(held)
        chosen = held if split == "validation" else [row for row in range(len(rows)) if row not in kept]
        return Dataset.from_dict(rows[chosen])

    def _read(self, split: str) -> Dataset:
        table = self._table(split)
        fields = zip(FIELDS, self.text_columns, strict=False)
        columns: dict[str, list[str] | list[int] | list[float]] = {field: texts(table, name) for field, name in fields}
        columns["index"] = list(range(len(table.rows)))
        if split != "predict":
            columns["labels"] = self._targets(table)
        elif RANK in table.names:
            columns[RANK] = row_ranks(table)
        return Dataset.from_dict(columns)

    def _targets(self, table: Table) -> list[int] | list[float]:
        if self._columns.task_type == "regression":
            return scores(table, self._columns.label)
        return class_ids(table, self._columns.label, self.labels)

    def _table(self, split: str) -> Table:
        if split not in self._tables:
            origin = self._origins[split]
            file = Path(origin).expanduser()
            table = read_hub_split(self._hub, origin) if self._hub else read_table(file, f"data.{split}_file")
            self._tables[split] = table
        return self._tables[split]
