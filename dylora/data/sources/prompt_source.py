"""Where a user's own prompts come from: a file for each split, or a set on the hub, with a share for validation."""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path

from dylora.data.sources.hub_table import HubSet, read_hub_split
from dylora.data.sources.prompts import Example, Reader
from dylora.data.sources.table import RANK, Table, row_ranks
from dylora.data.sources.table_files import read_table
from dylora.data.sources.text_items import Entry
from dylora.errors import InputError

TASK = "prompts"


class PromptSource:
    """The examples of a user's own splits.

    Args:
        files: File of each split that has one.
        hub: A set on the hub in place of files, or none.
        reader: Makes examples of rows.
        share: Share of the different training prompts that is validated on where the data has no split for it.
        seed: Chooses them.

    Attributes:
        name: Name of the task, the same for all own data.
        full_name: The stem of the training file (of another where there is none), or the hub's name.
        most_references: No limit.
    """

    def __init__(
        self, files: Mapping[str, Path], hub: HubSet | None, reader: Reader, share: float = 0.1, seed: int = 10
    ) -> None:
        self._check(files, hub, share)
        self.name = TASK
        self.full_name = hub.name.replace("/", "-") if hub else next(iter(files.values())).stem
        self.most_references: int | None = None
        self._files, self._hub, self._reader = files, hub, reader
        self._share, self._seed = share, seed
        self._read: dict[str, list[Example]] = {}

    @staticmethod
    def _check(files: Mapping[str, Path], hub: HubSet | None, share: float) -> None:
        if bool(files) == (hub is not None):
            given = f"{len(files)} files and {'a' if hub else 'no'} set on the hub"
            fix = "give --data.train_file FILE, or --data.hub.name NAME"
            raise InputError("data.train_file", "either files or a set on the hub", given, fix)
        if not 0 < share < 1:
            raise InputError("data.validation_share", "above 0 and below 1", share, "0.1 is usual")

    def key(self, split: str) -> str:
        """A hash of the examples."""
        content = json.dumps([astuple(example)[1:] for example in self.examples(split)], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()

    def entries(self, split: str) -> list[Entry]:
        """An entry for each example."""
        return [
            Entry(example.prompt, () if example.completion is None else (example.completion,), rank=example.rank)
            for example in self.examples(split)
        ]

    def examples(self, split: str) -> list[Example]:
        """The examples of a split, in the order of their file; without a validation split a part of the training's.

        Test rows that have a column `rank`, which no template names, keep it: `predict` writes each at its own.

        Args:
            split: `train`, `validation` or `test`.

        Raises:
            InputError: If there is no such split, or a row is unusable.
        """
        if split not in self._read:
            if split != "test" and not self._has("validation"):
                self._split_off()
            else:
                self._read[split] = self._of_file(split)
        return self._read[split]

    def _of_file(self, split: str) -> list[Example]:
        table = self._table(split)
        found = self._reader.read(table, with_completion=split != "test")
        if split != "test" or RANK not in table.names or RANK in self._reader.names():
            return found
        return [replace(example, rank=rank) for example, rank in zip(found, row_ranks(table), strict=True)]

    def _has(self, split: str) -> bool:
        return getattr(self._hub, split) is not None if self._hub else split in self._files

    def _table(self, split: str) -> Table:
        option = f"data.{split}_file"
        if not self._has(split):
            raise InputError(option, f"a file where the {split} rows are asked for", "none", "give one")
        return (
            read_hub_split(self._hub, getattr(self._hub, split))
            if self._hub
            else read_table(self._files[split], option)
        )

    def _split_off(self) -> None:
        """Rows of the same prompt stay together, so that no prompt that is validated on was trained on."""
        examples = self._reader.read(self._table("train"), with_completion=True)
        prompts = list(dict.fromkeys(example.prompt for example in examples))
        size = max(1, round(self._share * len(prompts)))
        if size >= len(prompts):
            allowed = "a file where a share of the training prompts leaves none to train on"
            raise InputError(
                "data.validation_file", allowed, f"none, with {len(prompts)} different prompts", "give one"
            )
        chosen = set(random.Random(self._seed).sample(prompts, size))
        self._read["train"] = [example for example in examples if example.prompt not in chosen]
        self._read["validation"] = [example for example in examples if example.prompt in chosen]
