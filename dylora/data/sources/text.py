"""The places a published table-to-text set comes from: a folder of official files, or the hub."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dylora.data.sources.hub import hub_key, load_from_hub
from dylora.data.sources.text_files import find_file, read_bytes
from dylora.data.sources.text_items import Entry
from dylora.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

# The hub's own copies of sets whose repositories hold only a loading script.
HUB_REVISION = "refs/convert/parquet"


class TextSource(Protocol):
    """Where the entries of a set come from.

    Attributes:
        name: Short name of the set, such as `e2e`.
        full_name: The name with the set's form, such as `e2e-respaced`; the name itself where there is one form.
        most_references: Number of references that an item is scored against at most, or none.
    """

    name: str
    full_name: str
    most_references: int | None

    def key(self, split: str) -> str:
        """A hash that changes when the entries do."""

    def entries(self, split: str) -> list[Entry]:
        """The entries of `train`, `validation` or `test`."""


@dataclass(frozen=True)
class Corpus:
    """A published set: its files and how they are read.

    Attributes:
        name: Short name, also of the folder inside `data_dir`.
        full_name: The name with the set's form.
        files: File names of each split, best first.
        parse: Reads a file's bytes; the path is for messages.
        hub_name: Repository on the hub.
        hub_folder: Folder of the wanted configuration in that repository.
        from_hub: Reads one row of the hub's copy; none for a row that does not belong to the split.
        most_references: Number of references that an item is scored against at most, or none.
    """

    name: str
    full_name: str
    files: Mapping[str, tuple[str, ...]]
    parse: Callable[[bytes, Path], list[Entry]]
    hub_name: str
    hub_folder: str
    from_hub: Callable[[Mapping[str, Any]], Entry | None]
    most_references: int | None = None


def source_for(corpus: Corpus, data_dir: str | None) -> TextSource:
    """The source of a published set.

    Args:
        corpus: The set.
        data_dir: Folder of the official files (the set's own, or one that holds it); none means the hub.

    Raises:
        InputError: If the folder does not exist.
    """
    if data_dir is None:
        return HubSource(corpus)
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise InputError("data.data_dir", "an existing folder", folder, f"give the folder of the {corpus.name} files")
    inner = folder / corpus.name
    return FolderSource(corpus, inner if inner.is_dir() else folder)


class FolderSource:
    """Official files.

    Args:
        corpus: The set.
        folder: Where its files lie.
    """

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.name = corpus.name
        self.full_name = corpus.full_name
        self.most_references = corpus.most_references
        self._corpus = corpus
        self._folder = folder

    def path(self, split: str) -> Path:
        """The file of a split.

        Raises:
            InputError: If it does not exist.
        """
        return find_file(self._folder, self._corpus.files[split])

    def key(self, split: str) -> str:
        """Hash of the file."""
        return f"{self.full_name}/{hashlib.sha256(read_bytes(self.path(split))).hexdigest()}"

    def entries(self, split: str) -> list[Entry]:
        """The entries of the file.

        Raises:
            InputError: If the file is missing, empty, truncated, not UTF-8 or of another shape.
        """
        path = self.path(split)
        entries = self._corpus.parse(read_bytes(path), path)
        if split == "train" and not any(entry.texts for entry in entries):
            given = f"{len(entries)} entries without one"
            raise InputError(str(path), "entries with texts to learn from", given, "use the official file")
        return entries


class HubSource:
    """The hub, or the Hugging Face cache.

    Args:
        corpus: The set.
    """

    def __init__(self, corpus: Corpus) -> None:
        self.name = corpus.name
        self.full_name = corpus.full_name
        self.most_references = corpus.most_references
        self._corpus = corpus

    @cached_property
    def _data(self) -> "DatasetDict":
        corpus = self._corpus
        return load_from_hub(corpus.hub_name, "the official files", data_dir=corpus.hub_folder, revision=HUB_REVISION)

    def _rows(self, split: str) -> "Dataset":
        if split not in self._data:
            allowed = f"a split that {self._corpus.hub_name} has ({', '.join(self._data)})"
            raise InputError("data.data_dir", allowed, split, "give the official files with --data.data_dir DIR")
        return self._data[split]

    def key(self, split: str) -> str:
        """The fingerprint that the datasets library gives the split."""
        return f"{self._corpus.hub_name}/{self.full_name}/{split}/{hub_key(self._rows(split))}"

    def entries(self, split: str) -> list[Entry]:
        """The entries of the hub's rows.

        Raises:
            InputError: If the hub cannot be reached, or its rows have other columns than they had.
        """
        rows = self._rows(split)
        try:
            found = [self._corpus.from_hub(row) for row in rows]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            name = self._corpus.hub_name
            fix = "give the official files with --data.data_dir DIR"
            raise InputError(name, "rows of the known columns", f"{type(error).__name__}: {error}", fix) from error
        return [entry for entry in found if entry is not None]
