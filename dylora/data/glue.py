"""Lightning data module of the sentence tasks: the eight of GLUE, and the embedded one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_info
from typing_extensions import override

from dylora.data.base import Part
from dylora.data.sentence_task import SentenceTaskDataModule
from dylora.data.sources.glue import EMBEDDED, source_for
from dylora.data.sources.held_out_task import HeldOutSource
from dylora.data.sources.holdout import optional_holdout
from dylora.data.submission import Submission
from dylora.errors import InputError
from dylora.tasks import Task, get_task


class GLUEDataModule(SentenceTaskDataModule):
    """Batches of a GLUE task, or of the embedded entailment task, tokenised once and cached.

    Each task is a named instance of what all sentence data has, with its labels in the order of the benchmark; the
    scores of STS-B lie in [0, 5].

    Args:
        task: `restaurants` (embedded) or a GLUE task: rte, mnli, sst2, mrpc, cola, qnli, qqp or stsb.
        data_dir: Folder in the official GLUE TSV layout (the GLUE folder or the task's own); null takes the hub.
        predict_split: Split that `predict` runs over.
        validation_share: Validate on this share of the training rows, which are then not trained on, such as 0.1; for
            choosing options without looking at the validation rows. Null takes the official validation rows.
        split_seed: Seed of the choice of these rows.
        **options: As for every data module.

    Attributes:
        name: The task.

    Raises:
        InputError: If the task is unknown, a number is out of range or the folder does not exist.
    """

    def __init__(
        self,
        task: str = EMBEDDED,
        data_dir: str | None = None,
        predict_split: Literal["test", "validation"] = "test",
        validation_share: float | None = None,
        split_seed: int = 10,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**options)
        if predict_split not in ("test", "validation"):
            raise InputError("data.predict_split", "test or validation", repr(predict_split), "choose one of the two")
        self._task = get_task(task)
        self.name = task
        self.predict_split = predict_split
        holdout = optional_holdout(validation_share, split_seed)
        self.source = source_for(self._task, data_dir)
        if holdout is not None:
            self.source = HeldOutSource(self.source, self._task, holdout)

    @property
    @override
    def task_spec(self) -> Task:
        """The task's fields, labels, splits and metrics."""
        return self._task

    @override
    def parts(self, stage: str) -> tuple[Part, ...]:
        """The splits that a stage needs; MNLI's mismatched ones are left out where only the matched ones exist.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: If the labels of the task's test split are not public and the stage is `test`.
        """
        if stage == "test" and self.task_spec.name != EMBEDDED:
            allowed = "validate or predict (the labels of GLUE's test sets are not public)"
            fix = "run validate, or predict --submission DIR for the leaderboard's files"
            raise InputError("test", allowed, f"test with the task {self.task_spec.name}", fix)
        if stage == "test" or (stage == "predict" and self.predict_split == "test"):
            return self._present(self.task_spec.test_splits)
        validation = self._present(self.task_spec.validation_splits)
        return (Part("train"), *validation) if stage == "fit" else validation

    def _present(self, names: tuple[str, ...]) -> tuple[Part, ...]:
        """Without missing splits behind the first; reading a missing first one gives the proper error."""
        present = self.source.splits()
        return tuple(Part(name) for name in (names[0], *(name for name in names[1:] if name in present)))

    def submission(self, folder: Path, ranks: Sequence[int]) -> Submission:
        """The leaderboard's files of what is predicted.

        Raises:
            InputError: If the task has none, it is not the test split that is predicted, or a file exists already.
        """
        return Submission(self.task_spec, folder, ranks, self.split_names("predict"))

    @override
    def report(self, part: Part) -> None:
        """Tell how many rows were cut, and where MNLI's mismatched file is missing."""
        super().report(part)
        other = part.split.replace("_matched", "_mismatched")
        if other != part.split and other not in self.source.splits():
            rank_zero_info(f"MNLI: there is no mismatched file beside {part.split}, the matched one is used alone")
