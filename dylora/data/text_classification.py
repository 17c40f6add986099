"""Lightning data module of a user's own texts with classes or scores."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from typing_extensions import override

from dylora.data.base import Part
from dylora.data.sentence_task import SentenceTaskDataModule
from dylora.data.sources.holdout import Holdout
from dylora.data.sources.hub_table import HubSet
from dylora.data.sources.own_text import FIELDS, Columns, OwnTextSource, TaskType
from dylora.errors import InputError
from dylora.tasks import Task, own_name, task_for


class TextClassificationDataModule(SentenceTaskDataModule):
    """Your own texts, or pairs of texts, with a class or a score each: from files or from a set on the hub.

    Files are CSV, TSV, JSON Lines or Parquet, told by their suffix (`.csv`, `.tsv`, `.jsonl`, `.parquet`). The same
    rows give the same run whatever the file's type.

    Args:
        train_file: File of the training rows; with a hub set, none.
        validation_file: File of the validation rows; null splits `validation_share` off the training rows.
        test_file: File of rows with labels for `test`.
        predict_file: File of rows for `predict`, with or without labels; null takes those of `test`, else of
            validation.
        hub: A set on the hub in the place of files: its name, configuration and splits.
        text_columns: The column of the text, or the two of a pair; null takes the usual names that are there: `text`,
            `sentence`, `sentence1` and `sentence2`, `premise` and `hypothesis` and so on.
        label_column: The column of the class (a name or an integer), or, for regression, of the number.
        task_type: `classification`, or `regression` for numbers.
        labels: Class names in the order of their ids; null takes those of the training rows, and in an evaluation those
            of the checkpoint.
        validation_share: Share of the training rows, of each class alike, that is split off where there is no
            validation file.
        split_seed: Seed of the choice of those rows. It is not the run's, so that runs of several seeds are comparable.
        name: Name of the data, of the folder of its runs and of its cache; null takes the training file's (of a
            `train.csv` its folder's), or the hub set's.
        **options: As for every data module.

    Attributes:
        name: The name of the data; with `-data` behind it where one of GLUE's tasks has the same.

    Raises:
        InputError: If neither or both of a training file and a hub set are given, or an option is out of range.
    """

    def __init__(
        self,
        train_file: str | None = None,
        validation_file: str | None = None,
        test_file: str | None = None,
        predict_file: str | None = None,
        hub: HubSet | None = None,
        text_columns: list[str] | str | None = None,
        label_column: str = "label",
        task_type: TaskType = "classification",
        labels: list[str | int] | None = None,
        validation_share: float = 0.1,
        split_seed: int = 10,
        name: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**options)
        files = {"train": train_file, "validation": validation_file, "test": test_file, "predict": predict_file}
        self._origins = _origins(files, hub)
        _check_share(validation_share)
        columns = Columns(
            _text_columns(text_columns), label_column, task_type, tuple(map(str, labels)) if labels else None
        )
        self.source: OwnTextSource = OwnTextSource(self._origins, hub, columns, Holdout(validation_share, split_seed))
        self.name = own_name(name, hub.name if hub else train_file or "")

    @property
    def labels(self) -> list[str]:
        """Class names in the order of their ids, by which a model for this data makes its outputs; empty for scores.

        Raises:
            InputError: If the training rows cannot be read, or have one class alone.
        """
        return list(self.source.labels)

    @cached_property
    @override
    def task_spec(self) -> Task:
        """The task's labels and metrics."""
        return task_for(self.name, self.labels)

    @property
    @override
    def text_fields(self) -> tuple[str, ...]:
        """`text`, and for pairs `text_pair`."""
        return FIELDS[: len(self.source.text_columns)]

    @override
    def parts(self, stage: str) -> tuple[Part, ...]:
        """The split of a stage, and for `fit` the training rows before it.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: If there are no rows for `test`.
        """
        if stage == "fit":
            return (Part("train"), Part("validation"))
        if stage == "test" and "test" not in self._origins:
            fix = "give --data.test_file FILE (of a hub set --data.hub.test SPLIT), or run validate"
            raise InputError("data.test_file", "a file with labels", "none", fix)
        choices = {"validate": (), "test": ("test",), "predict": ("predict", "test")}[stage]
        return (Part(next((split for split in choices if split in self._origins), "validation")),)

    @override
    def report(self, part: Part) -> None:
        """Tell what the rows are, and which of them were cut."""
        super().report(part)
        rows = self.rows(part)
        words = f"{len(rows)} rows"
        if part.split == "train" and self.labels:
            counts = Counter(rows["labels"][:])
            words += " (" + ", ".join(f"{label} {counts[place]}" for place, label in enumerate(self.labels)) + ")"
        if part.split == "validation" and self.source.held_out():
            words += " split off the training rows, no validation file is given"
        rank_zero_info(f"{self.name} {part.split}: {words}")


def _origins(files: dict[str, str | None], hub: HubSet | None) -> dict[str, str]:
    """Where each split lies, those that there are."""
    given = {split: file for split, file in files.items() if file is not None}
    if hub is None and "train" not in given:
        fix = "give --data.train_file FILE"
        raise InputError("data.train_file", "a file (.csv, .tsv, .jsonl, .parquet)", "none", fix)
    if hub is None:
        return given
    if given:
        split, file = next(iter(given.items()))
        raise InputError(f"data.{split}_file", "left out with --data.hub", file, "give files or a hub set")
    splits = {"train": hub.train, "validation": hub.validation, "test": hub.test}
    return {split: name for split, name in splits.items() if name is not None}


def _text_columns(given: Sequence[str] | str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    columns = (given,) if isinstance(given, str) else tuple(given)
    if not 1 <= len(columns) <= len(FIELDS):
        fix = "join the columns before"
        raise InputError("data.text_columns", "the names of one or two columns", len(columns), fix)
    return columns


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise InputError("data.validation_share", "inside (0, 1)", share, "0.1 is a usual one")
