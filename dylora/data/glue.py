"""Lightning data module of the sentence tasks: the eight of GLUE, and the embedded one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_info
from typing_extensions import override

from dylora.data.base import CachedDataModule, Collate, Part
from dylora.data.batching import Collator
from dylora.data.cache import TRUNCATED
from dylora.data.sentences import sentence_rows, token_limit
from dylora.data.sources.glue import EMBEDDED, source_for
from dylora.data.submission import Submission
from dylora.errors import InputError
from dylora.tasks import get_task


class GLUEDataModule(CachedDataModule):
    """Batches of a GLUE task, or of the embedded entailment task, tokenised once and cached.

    A batch holds `input_ids`, `attention_mask` and, where the tokenizer makes them, `token_type_ids`, each (B, T);
    `index` (B,), the row's number in its split from 0; and, where they are known, `labels` (B,), class ids, or scores
    in [0, 5].

    Args:
        task: `restaurants` (embedded) or a GLUE task: rte, mnli, sst2, mrpc, cola, qnli, qqp or stsb.
        data_dir: Folder in the official GLUE TSV layout (the GLUE folder or the task's own); null takes the hub.
        predict_split: Split that `predict` runs over.
        **options: As for every data module.

    Attributes:
        name: The task.
        task_spec: The task's fields, labels, splits and metrics.

    Raises:
        InputError: If the task is unknown, a number is out of range or the folder does not exist.
    """

    def __init__(
        self,
        task: str = EMBEDDED,
        data_dir: str | None = None,
        predict_split: Literal["test", "validation"] = "test",
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**options)
        if predict_split not in ("test", "validation"):
            raise InputError("data.predict_split", "test or validation", repr(predict_split), "choose one of the two")
        self.task_spec = get_task(task)
        self.name = task
        self.predict_split = predict_split
        self._source = source_for(self.task_spec, data_dir)

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
        present = self._source.splits()
        return tuple(Part(name) for name in (names[0], *(name for name in names[1:] if name in present)))

    def submission(self, folder: Path, ranks: Sequence[int]) -> Submission:
        """The leaderboard's files of what is predicted.

        Raises:
            InputError: If the task has none, it is not the test split that is predicted, or a file exists already.
        """
        return Submission(self.task_spec, folder, ranks, self.split_names("predict"))

    @override
    def cache_key(self, part: Part) -> tuple[str, ...]:
        """The rows, the tokenizer, the limit and the columns that are tokenised."""
        key = self._source.key(part.split)
        return (key, self.tokenizer_key, str(self._limit), *self.task_spec.text_fields)

    @property
    def _limit(self) -> int:
        return token_limit(self.tokenizer, self._max_length, len(self.task_spec.text_fields))

    @override
    def make_rows(self, part: Part) -> Dataset:
        """The split's rows, tokenised."""
        return sentence_rows(self._source.rows(part.split), self.task_spec.text_fields, self.tokenizer, self._limit)

    @override
    def collator(self, part: Part) -> Collate:
        """Padding with the tokenizer's own token, on its own side."""
        return Collator(self.tokenizer)

    @override
    def report(self, part: Part) -> None:
        """Tell how many rows were cut, and where MNLI's mismatched file is missing."""
        truncated = self.rows(part)[TRUNCATED][:]
        if any(truncated):
            cut = f"cut {sum(truncated)} of {len(truncated)} rows at {self._limit} tokens"
            rank_zero_info(f"{self.name} {part.split}: {cut}")
        other = part.split.replace("_matched", "_mismatched")
        if other != part.split and other not in self._source.splits():
            rank_zero_info(f"MNLI: there is no mismatched file beside {part.split}, the matched one is used alone")
