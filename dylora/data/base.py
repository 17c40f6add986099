"""What all data modules share: their options, rows that are made once and kept, loaders that can go on, processes."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Sampler, SequentialSampler, Subset
from transformers import PreTrainedTokenizerBase
from typing_extensions import override

from dylora.backbones.tokenizers import tokenizer_digest, tokenizer_for
from dylora.data.batching import EvaluationSampler, alike_in_batches, train_sampler
from dylora.data.cache import CUT_TEXT, LENGTH, TRUNCATED, cached
from dylora.data.cache_folders import DEFAULT_GIGABYTES, RowCache, default_cache_dir
from dylora.data.progress import Counted, counted
from dylora.data.resumable import ResumableLoader
from dylora.errors import InputError, check_at_least

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]

Batch = dict[str, torch.Tensor]
Collate = Callable[[list[dict[str, Any]]], Batch]


@dataclass(frozen=True)
class Part:
    """What one loader goes over.

    Attributes:
        split: Name of the split.
        form: Which rows are made of the split, such as `pairs` or `prompts`; empty where there is one kind.
    """

    split: str
    form: str = ""

    def __str__(self) -> str:
        return f"{self.split}-{self.form}" if self.form else self.split


class LoaderDataModule(LightningDataModule, ABC):
    """A data module whose loaders can go on in the middle of an epoch and evaluate each row in one process.

    A subclass says what its kind of data is: its `name`, the `parts` of each stage, the rows of a part (`dataset`,
    `lengths`) and how they become a batch (`collator`).

    Args:
        train_batch_size: Rows in a training batch of one process.
        eval_batch_size: Rows in an evaluation batch of one process.
        num_workers: Processes that load batches; 0 loads them in the main process.
        seed: Seed of the order of the training rows.

    Attributes:
        name: Name of the data, with its form where it has several, such as `rte` or `e2e-respaced`.

    Raises:
        InputError: If a number is out of range.
    """

    name: str

    def __init__(
        self, train_batch_size: int = 32, eval_batch_size: int = 32, num_workers: int = 0, seed: int = 10
    ) -> None:
        super().__init__()
        check_at_least("data", 1, train_batch_size=train_batch_size, eval_batch_size=eval_batch_size)
        check_at_least("data", 0, num_workers=num_workers)
        self._train_batch_size = train_batch_size
        self._eval_batch_size = eval_batch_size
        self._num_workers = num_workers
        self._seed = seed

    @property
    def task_name(self) -> str:
        """Name of the task, by which a model for this data chooses its outputs and scores."""
        return self.name

    @property
    def run_name(self) -> str:
        """Name of the folder that runs on this data share."""
        return self.task_name

    @abstractmethod
    def parts(self, stage: str) -> tuple[Part, ...]:
        """What a stage reads: for `fit` the training part first, else one part a loader, in the loaders' order.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: If the data cannot serve the stage.
        """

    @abstractmethod
    def dataset(self, part: Part) -> Any:  # noqa: ANN401 (anything with items and a length)
        """The rows that the loader of a part goes over, as its collator takes them."""

    @abstractmethod
    def lengths(self, part: Part) -> Sequence[int]:
        """How long each row of a part is; rows of similar length come together."""

    @abstractmethod
    def collator(self, part: Part) -> Collate:
        """What makes a batch of the rows of a part."""

    def described(self, split: str, indices: Sequence[int]) -> list[dict[str, Any]]:
        """What rows are in words, for files of predictions: texts or a path and, where known, what is right.

        Args:
            split: Name of the split.
            indices: The rows' `index`.
        """
        return [{} for _ in indices]

    def split_names(self, stage: str) -> tuple[str, ...]:
        """The splits that a stage reads; of a stage other than `fit`, in the order of its loaders.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: If the data cannot serve the stage.
        """
        return tuple(dict.fromkeys(part.split for part in self.parts(stage)))

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches of rows of similar length, in an order that depends on the seed and the epoch.

        In a resumed run the first epoch's loader starts behind the batches that were trained already.
        """
        part = self.parts("fit")[0]
        sampler = self.training_order(part)
        return ResumableLoader(**self._options(part, sampler, self._train_batch_size), position=self.batches_done)

    def training_order(self, part: Part) -> Sampler[Any]:
        """What the training loader asks of `dataset`, in which order; a pure function of (seed, epoch).

        Raises:
            InputError: If there are fewer rows than processes.
        """
        return train_sampler(self.lengths(part), self._train_batch_size, *self.processes(), self._seed)

    @override
    def val_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each part of `validate`, every row in one process."""
        return [self._evaluation_loader(part) for part in self.parts("validate")]

    @override
    def test_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each part of `test`, every row in one process.

        Raises:
            InputError: If the data has no labelled test split.
        """
        return [self._evaluation_loader(part) for part in self.parts("test")]

    @override
    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each part of `predict`, every row in one process."""
        return [self._evaluation_loader(part) for part in self.parts("predict")]

    def calibration_dataloader(self, examples: int) -> DataLoader[Any]:
        """Some training rows, the same in every run with the seed, each in one process.

        Batches are of rows of similar length, and in a random order.

        Args:
            examples: How many rows, of all processes; the split may have fewer.

        Raises:
            InputError: If there is no training split.
        """
        part = self.parts("fit")[0]
        count, place = self.processes()
        order = torch.randperm(len(self.lengths(part)), generator=torch.Generator().manual_seed(self._seed))
        own = order[:examples].tolist()[place::count]
        chosen = alike_in_batches(own, self.lengths(part), self._train_batch_size, self._seed)
        options = self._options(part, SequentialSampler(chosen), self._train_batch_size)
        return DataLoader(**{**options, "dataset": Subset(options["dataset"], chosen)})

    def _evaluation_loader(self, part: Part) -> DataLoader[Any]:
        sampler = EvaluationSampler(self.lengths(part), *self.processes())
        return DataLoader(**self._options(part, sampler, self._eval_batch_size))

    def _options(self, part: Part, sampler: Sampler[Any], batch_size: int) -> dict[str, Any]:
        """What every loader is made with; the generator is its own, so that iterating draws from no other."""
        if self._num_workers:
            # Tokenising is over; without this line the tokenizers library warns about every forked worker.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        return {
            "dataset": self.dataset(part),
            "batch_size": batch_size,
            "sampler": sampler,
            "num_workers": self._num_workers,
            "persistent_workers": self._num_workers > 0,
            "collate_fn": self.collator(part),
            "pin_memory": torch.cuda.is_available(),
            "generator": torch.Generator().manual_seed(self._seed),
        }

    def processes(self) -> tuple[int, int]:
        """Number of the trainer's processes and this one's place; one process without a trainer."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def batches_done(self) -> int:
        """Batches of this epoch that are trained already, more than none in a resumed run."""
        return 0 if self.trainer is None else self.trainer.fit_loop.epoch_loop.batch_progress.current.ready


class CachedDataModule(LoaderDataModule):
    """A data module whose rows are made once, kept on disk, and go into batches of similar length.

    A subclass says what its kind of data is: its `name`, the `parts` of each stage, the rows of a part (`make_rows`,
    `cache_key`) and how they become a batch (`collator`).

    Args:
        backbone: Backbone whose tokenizer is used: `builtin/roberta`, `builtin/gpt2`, a local folder or a hub name.
        train_batch_size: Rows in a training batch of one process.
        eval_batch_size: Rows in an evaluation batch of one process.
        max_length: Number of tokens at which a row is cut, of prompt and text together where it has both; the limit of
            the backbone applies if it is lower.
        num_workers: Processes that load batches; 0 loads them in the main process.
        cache_dir: Folder for the tokenised data; null means ~/.cache/dylora (or $XDG_CACHE_HOME/dylora).
        cache_size: How large the tokenised data there may grow, in GB (10^9 bytes), 0 or more. Beyond it, what was not
            used for longest is removed; what a run is using stays.
        seed: Seed of the order of the training rows.

    Attributes:
        name: Name of the data, with its form where it has several, such as `rte` or `e2e-respaced`.

    Raises:
        InputError: If a number is out of range.
    """

    def __init__(
        self,
        backbone: str = "builtin/roberta",
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        max_length: int = 512,
        num_workers: int = 0,
        cache_dir: str | None = None,
        cache_size: float = DEFAULT_GIGABYTES,
        seed: int = 10,
    ) -> None:
        super().__init__(train_batch_size, eval_batch_size, num_workers, seed)
        self._backbone = backbone
        self._max_length = max_length
        if not 0 <= cache_size < math.inf:
            raise InputError("data.cache_size", "a number of GB, 0 or more", cache_size, "10 is the default")
        self._cache = RowCache(Path(cache_dir).expanduser() if cache_dir else default_cache_dir(), cache_size)
        self._made: dict[Part, Dataset] = {}

    @property
    def input_limits(self) -> dict[str, int]:
        """Where rows are cut, by the names of the options; kept in checkpoints."""
        return {"max_length": self._max_length}

    @abstractmethod
    def cache_key(self, part: Part) -> tuple[str, ...]:
        """Everything that decides what the rows of a part are."""

    @abstractmethod
    def make_rows(self, part: Part) -> "Dataset":
        """The rows of a part, with `index`, `length` (tokens) and `truncated`; called if the cache lacks them."""

    def counted(self, part: Part) -> Counted:
        """Bars over the rows of a part that are tokenised: where the trainer has its own, else on a terminal."""
        is_wanted = self.trainer is None or self.trainer.progress_bar_callback is not None
        return counted(f"{self.name} {part}", is_wanted)

    def report(self, part: Part) -> None:
        """Tell what was cut or left out of a part, when it is first read."""

    def rows(self, part: Part) -> "Dataset":
        """The rows of a part with all their columns, after `setup`."""
        return self._made[part]

    @override
    def dataset(self, part: Part) -> "Dataset":
        """The rows of a part, without the columns about them."""
        rows = self.rows(part)
        kept = [column for column in rows.column_names if column not in (LENGTH, TRUNCATED, CUT_TEXT)]
        return rows.select_columns(kept)

    @override
    def lengths(self, part: Part) -> Sequence[int]:
        """The number of tokens of each row."""
        found: list[int] = self.rows(part)[LENGTH][:]
        return found

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The backbone's tokenizer, with a padding token."""
        return tokenizer_for(self._backbone)

    @cached_property
    def tokenizer_key(self) -> str:
        """A hash of everything that decides which ids a text gets, for `cache_key`."""
        return tokenizer_digest(self.tokenizer)

    @override
    def prepare_data(self) -> None:
        """Make what the cache does not have yet; Lightning calls it in one process of a machine.

        Raises:
            InputError: If the data, the tokenizer or the cache folder is unusable.
        """
        stage = self.trainer.state.fn if self.trainer is not None else None
        for part in self.parts(stage or "fit"):
            self._cached(part)

    @override
    def setup(self, stage: str) -> None:
        """Read the stage's rows from the cache and report what was cut or left out.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: As in `prepare_data`.
        """
        for part in self.parts(stage):
            if part not in self._made:
                self._made[part] = self._cached(part)
                self.report(part)

    def _cached(self, part: Part) -> "Dataset":
        about: dict[str, str | int] = {
            "data": self.name,
            "split": part.split,
            "tokenizer": self._backbone,
            **self.input_limits,
        }
        key = self.cache_key(part)
        return cached(f"{self.name}-{part}", key, lambda: self.make_rows(part), self._cache, about)

    @override
    def calibration_dataloader(self, examples: int) -> DataLoader[Any]:
        """Some training rows, made if they are not there yet; see `LoaderDataModule`."""
        part = self.parts("fit")[0]
        if part not in self._made:
            self._made[part] = self._cached(part)
        return super().calibration_dataloader(examples)
