"""Sentences and pairs of sentences with a class or a score each, wherever they come from."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lightning.pytorch.utilities import rank_zero_info
from typing_extensions import override

from dylora.data.base import CachedDataModule, Collate, Part
from dylora.data.batching import Collator
from dylora.data.cache import TRUNCATED
from dylora.data.sentences import sentence_rows, token_limit
from dylora.data.sources.glue import Source
from dylora.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]


class SentenceTaskDataModule(CachedDataModule):
    """Batches of a sentence task, tokenised once and cached.

    A batch holds `input_ids`, `attention_mask` and, where the tokenizer makes them, `token_type_ids`, each (B, T);
    `index` (B,), the row's number in its split from 0; and, where they are known, `labels` (B,), class ids or scores.

    Attributes:
        kind: What the batches are, by which the command line tells models and data that do not fit each other.
        source: Where the rows come from.
    """

    kind: ClassVar[str] = "sentences"
    source: Source

    @property
    @abstractmethod
    def task_spec(self) -> Task:
        """The task's fields, labels, splits and metrics."""

    @property
    def text_fields(self) -> tuple[str, ...]:
        """Names of the one or two text columns of the source's rows."""
        return self.task_spec.text_fields

    @override
    def cache_key(self, part: Part) -> tuple[str, ...]:
        """The rows, the tokenizer, the limit and the columns that are tokenised."""
        return (self.source.key(part.split), self.tokenizer_key, str(self._limit), *self.text_fields)

    @property
    def _limit(self) -> int:
        return token_limit(self.tokenizer, self._max_length, len(self.text_fields))

    @override
    def make_rows(self, part: Part) -> "Dataset":
        """The split's rows, tokenised."""
        rows = self.source.rows(part.split)
        return sentence_rows(rows, self.text_fields, self.tokenizer, self._limit, self.counted(part))

    @override
    def described(self, split: str, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The rows' sentences and, where it is known, their label or score."""
        rows, labels = self.source.rows(split), self.task_spec.labels
        places = {index: place for place, index in enumerate(rows["index"][:])}  # of a part of a file they differ
        chosen = rows.select([places[index] for index in indices])
        found = [{name: row[name] for name in self.text_fields} for row in chosen]
        if "labels" in rows.column_names:
            for record, value in zip(found, chosen["labels"], strict=True):
                record |= {"label": labels[value]} if labels else {"score": value}
        return found

    @override
    def collator(self, part: Part) -> Collate:
        """Padding with the tokenizer's own token, on its own side."""
        return Collator(self.tokenizer)

    @override
    def report(self, part: Part) -> None:
        """Tell how many rows were cut."""
        truncated = self.rows(part)[TRUNCATED][:]
        if any(truncated):
            cut = f"cut {sum(truncated)} of {len(truncated)} rows at {self._limit} tokens"
            rank_zero_info(f"{self.name} {part.split}: {cut}")
