"""Lightning data module of the sentence tasks: the eight of GLUE, and the embedded one."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, Sampler
from transformers import PreTrainedTokenizerBase

from dylora.backbones.tokenizers import tokenizer_for
from dylora.data.batching import Collator, EvaluationSampler, loader_options, train_sampler
from dylora.data.module import TrainerAwareDataModule
from dylora.data.resumable import ResumableLoader
from dylora.data.sources.glue import EMBEDDED, source_for
from dylora.data.token_cache import default_cache_dir, token_limit, tokenised
from dylora.errors import InputError, check_at_least
from dylora.tasks import get_task

Stage = Literal["fit", "validate", "test", "predict"]
Batch = dict[str, torch.Tensor]


class GLUEDataModule(TrainerAwareDataModule):
    """Batches of a GLUE task, or of the embedded entailment task, tokenised once and cached.

    A batch holds `input_ids`, `attention_mask` and, where the tokenizer makes them, `token_type_ids`, each (B, T);
    `index` (B,), the row's number in its split from 0; and, where they are known, `labels` (B,), class ids, or scores
    in [0, 5].

    Args:
        task: `restaurants` (embedded) or a GLUE task: rte, mnli, sst2, mrpc, cola, qnli, qqp or stsb.
        backbone: Backbone whose tokenizer is used: `builtin/roberta`, a local folder or a hub name.
        data_dir: Folder in the official GLUE TSV layout (the GLUE folder or the task's own); null takes the hub.
        train_batch_size: Rows in a training batch of one process.
        eval_batch_size: Rows in an evaluation batch of one process.
        max_length: Number of tokens at which a row is cut; the tokenizer's own limit applies if it is lower.
        num_workers: Processes that load batches; 0 loads them in the main process.
        cache_dir: Folder for the tokenised data; null means ~/.cache/dylora (or $XDG_CACHE_HOME/dylora).
        predict_split: Split that `predict` runs over.
        seed: Seed of the order of the training rows.

    Attributes:
        task_spec: The task's fields, labels, splits and metrics.

    Raises:
        InputError: If the task is unknown, a number is out of range or the folder does not exist.
    """

    def __init__(
        self,
        task: str = EMBEDDED,
        backbone: str = "builtin/roberta",
        data_dir: str | None = None,
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        max_length: int = 512,
        num_workers: int = 0,
        cache_dir: str | None = None,
        predict_split: Literal["test", "validation"] = "test",
        seed: int = 10,
    ) -> None:
        super().__init__()
        check_at_least("data", 1, train_batch_size=train_batch_size, eval_batch_size=eval_batch_size)
        check_at_least("data", 0, num_workers=num_workers)
        if predict_split not in ("test", "validation"):
            raise InputError("data.predict_split", "test or validation", repr(predict_split), "choose one of the two")
        self.task_spec = get_task(task)
        self.predict_split = predict_split
        self._backbone = backbone
        self._source = source_for(self.task_spec, data_dir)
        self._batch_sizes = {"train": train_batch_size, "eval": eval_batch_size}
        self._max_length = max_length
        self._num_workers = num_workers
        self._cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        self._seed = seed
        self._splits: dict[str, Dataset] = {}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The backbone's tokenizer."""
        return tokenizer_for(self._backbone)

    def split_names(self, stage: str) -> tuple[str, ...]:
        """The splits that a stage needs, evaluation splits in the order of their loaders.

        MNLI's mismatched splits are left out where only the matched ones exist.

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
        return ("train", *validation) if stage == "fit" else validation

    def _present(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Without missing splits behind the first; reading a missing first one gives the proper error."""
        present = self._source.splits()
        return (names[0], *(name for name in names[1:] if name in present))

    def prepare_data(self) -> None:
        """Tokenise what the cache does not have yet; Lightning calls it in one process of a machine.

        Raises:
            InputError: If the data, the tokenizer or the cache folder is unusable.
        """
        stage = self.trainer.state.fn if self.trainer is not None else None
        for split in self.split_names(stage or "fit"):
            self._tokenised(split)

    def setup(self, stage: str) -> None:
        """Read the stage's splits from the cache and report what was cut or is missing.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: As in `prepare_data`.
        """
        for split in self.split_names(stage):
            if split not in self._splits:
                self._splits[split] = self._tokenised(split)
                self._report_truncated(split)
            if self._is_matched_alone(split):
                rank_zero_info(f"MNLI: there is no mismatched file beside {split}, the matched one is used alone")

    def _is_matched_alone(self, split: str) -> bool:
        return split.endswith("_matched") and split.replace("_matched", "_mismatched") not in self._source.splits()

    def _tokenised(self, split: str) -> Dataset:
        return tokenised(
            f"{self.task_spec.name}-{split}",
            self._source.key(split),
            lambda: self._source.rows(split),
            self.task_spec.text_fields,
            self.tokenizer,
            self._max_length,
            self._cache_dir,
        )

    def _report_truncated(self, split: str) -> None:
        cut = sum(self._splits[split]["truncated"][:])
        if cut:
            limit = token_limit(self.tokenizer, self._max_length, len(self.task_spec.text_fields))
            total = len(self._splits[split])
            rank_zero_info(f"{self.task_spec.name} {split}: cut {cut} of {total} rows at {limit} tokens")

    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches of rows of similar length, in an order that depends on the seed and the epoch."""
        batch_size = self._batch_sizes["train"]
        sampler = train_sampler(self._lengths("train"), batch_size, *self.processes(), self._seed)
        return ResumableLoader(**self._options("train", sampler, batch_size), position=self.batches_done)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each validation split that exists."""
        return self._evaluation_loaders("validate")

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """The embedded task's test split.

        Raises:
            InputError: If the task is one of GLUE's, whose test labels are not public.
        """
        return self._evaluation_loaders("test")

    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each part of `predict_split` that exists."""
        return self._evaluation_loaders("predict")

    def _evaluation_loaders(self, stage: Stage) -> list[DataLoader[Any]]:
        return [self._evaluation_loader(split) for split in self.split_names(stage)]

    def _evaluation_loader(self, split: str) -> DataLoader[Any]:
        sampler = EvaluationSampler(self._lengths(split), *self.processes())
        return DataLoader(**self._options(split, sampler, self._batch_sizes["eval"]))

    def _lengths(self, split: str) -> list[int]:
        lengths: list[int] = self._splits[split]["length"][:]
        return lengths

    def _options(self, split: str, sampler: Sampler[int], batch_size: int) -> dict[str, Any]:
        if self._num_workers:
            # Tokenising is over; without this line the tokenizers library warns about every forked worker.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        rows = self._splits[split].remove_columns(["length", "truncated"])
        return loader_options(rows, sampler, batch_size, self._num_workers, Collator(self.tokenizer), self._seed)
