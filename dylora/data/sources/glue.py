"""The three places a sentence task's rows come from: the package, a folder, the hub."""

import hashlib
import json
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lightning.pytorch.utilities import rank_zero_info

from dylora.data.sources import embedded, glue_tsv
from dylora.data.sources.hub import hub_key, load_from_hub
from dylora.errors import InputError
from dylora.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

EMBEDDED = "restaurants"
HUB_NAME = "nyu-mll/glue"


class Source(Protocol):
    """Where a task's rows come from."""

    def splits(self) -> tuple[str, ...]:
        """Names of the splits that exist."""

    def key(self, split: str) -> str:
        """A hash that changes when the rows do."""

    def rows(self, split: str) -> "Dataset":
        """The rows: the task's text columns, `index` and, where labels are known, `labels`."""


def source_for(task: Task, data_dir: str | None) -> Source:
    """The source of a task.

    Args:
        task: The task.
        data_dir: Folder in the official layout; none means the hub, or the package for the embedded task.

    Raises:
        InputError: If a folder is given for the embedded task, or it does not exist.
    """
    if task.name == EMBEDDED:
        if data_dir is not None:
            fix = "leave it out or choose a GLUE task with --data.task"
            raise InputError("data.data_dir", f"null for the embedded task {EMBEDDED}", data_dir, fix)
        return EmbeddedSource()
    if data_dir is None:
        return HubSource(task)
    glue_tsv.task_folder(task, Path(data_dir).expanduser())
    return FolderSource(task, Path(data_dir).expanduser())


class EmbeddedSource:
    """The entailment set over restaurant descriptions that the package makes."""

    def splits(self) -> tuple[str, ...]:
        """All three."""
        return ("train", "validation", "test")

    def key(self, split: str) -> str:
        """Hash of the rows."""
        return hashlib.sha256(json.dumps(_embedded_rows(split)).encode()).hexdigest()

    def rows(self, split: str) -> "Dataset":
        """The rows, with labels in every split."""
        from datasets import Dataset

        rows = Dataset.from_list(_embedded_rows(split)).rename_column("label", "labels")
        return rows.add_column("index", list(range(len(rows))))


@cache
def _embedded_rows(split: str) -> list[embedded.EntailmentRow]:
    return embedded.entailment(split)


class FolderSource:
    """Files in the official layout.

    Args:
        task: The task.
        data_dir: The GLUE folder, or the task's own.
    """

    def __init__(self, task: Task, data_dir: Path) -> None:
        self._task = task
        self._data_dir = data_dir

    def splits(self) -> tuple[str, ...]:
        """Those whose file exists."""
        return glue_tsv.available_splits(self._task, self._data_dir)

    def key(self, split: str) -> str:
        """Hash of the file."""
        content = glue_tsv.read_bytes(self._task, self._data_dir, split)
        return f"{self._task.name}/{split in self._task.test_splits}/{hashlib.sha256(content).hexdigest()}"

    def rows(self, split: str) -> "Dataset":
        """The rows of the file."""
        from datasets import Dataset

        columns, broken = glue_tsv.read_split(self._task, self._data_dir, split)
        if broken:
            path = glue_tsv.split_path(self._task, self._data_dir, split)
            lines = "1 line" if broken == 1 else f"{broken} lines"
            rank_zero_info(f"{path}: left out {lines} with too few columns, a known fault of the first release")
        rows = Dataset.from_dict(columns)
        return rows.rename_column("label", "labels") if "label" in columns else rows


class HubSource:
    """`nyu-mll/glue`, from the hub or from the Hugging Face cache.

    Args:
        task: The task.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    @cached_property
    def _data(self) -> "DatasetDict":
        return load_from_hub(HUB_NAME, "the official TSV files", self._task.name)

    def splits(self) -> tuple[str, ...]:
        """All that the task has."""
        return ("train", *self._task.validation_splits, *self._task.test_splits)

    def key(self, split: str) -> str:
        """The fingerprint that the datasets library gives the split."""
        return f"{HUB_NAME}/{self._task.name}/{split}/{hub_key(self._data[split])}"

    def rows(self, split: str) -> "Dataset":
        """The rows; the hub marks the unknown labels of the test splits with -1, which are dropped."""
        labelled = split not in self._task.test_splits
        names = (*self._task.text_fields, "idx", *(("label",) if labelled else ()))
        rows = self._data[split].select_columns(list(names)).rename_column("idx", "index")
        return rows.rename_column("label", "labels") if labelled else rows
