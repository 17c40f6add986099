"""The embedded table-to-text set, from the restaurant grammar that the package brings along."""

import hashlib
import json
from functools import cache
from typing import Any

from dylora.data.e2e import read_slots
from dylora.data.linearise import linearise
from dylora.data.sources import embedded
from dylora.data.table_to_text import TableToTextDataModule
from dylora.data.text_items import Entry


class RestaurantTextDataModule(TableToTextDataModule):
    """Batches of the embedded set: 2,000 training records with 4 texts each, 250 for validation, 250 for the test.

    Args:
        **options: As for every table-to-text set.

    Raises:
        InputError: If a number is out of range.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(EmbeddedSource(), **options)


class EmbeddedSource:
    """The set that the package makes; it needs no file and no network."""

    name = "restaurants"
    full_name = "restaurants"
    most_references: int | None = None

    def key(self, split: str) -> str:
        """Hash of the entries."""
        made = [(entry.source, entry.texts) for entry in self.entries(split)]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()

    def entries(self, split: str) -> list[Entry]:
        """The entries, with four texts each."""
        return _entries(split)


@cache
def _entries(split: str) -> list[Entry]:
    rows = embedded.table_to_text(split)
    return [Entry(linearise(read_slots(row["mr"]) or ()), tuple(row["references"])) for row in rows]
