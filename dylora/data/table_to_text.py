"""Lightning data module that the table-to-text sets share: rows to train on, prompts to generate from."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, Sampler
from transformers import PreTrainedTokenizerBase

from dylora.backbones.architecture import Architecture, architecture_of
from dylora.backbones.tokenizers import tokenizer_digest, tokenizer_for
from dylora.data.batching import EvaluationSampler, loader_options, train_sampler
from dylora.data.completion import CompletionEncoder, Limits, Row, limits
from dylora.data.completion_batching import CompletionCollator
from dylora.data.completion_cache import encoded
from dylora.data.module import TrainerAwareDataModule
from dylora.data.resumable import ResumableLoader
from dylora.data.sources.text import TextSource
from dylora.data.text_items import Entry, Item, group, pairs
from dylora.data.token_cache import default_cache_dir
from dylora.errors import InputError, check_at_least

Kind = Literal["pairs", "prompts"]

# What each stage reads, in the order of its loaders.
_NEEDED: dict[str, tuple[tuple[str, Kind], ...]] = {
    "fit": (("train", "pairs"), ("validation", "pairs"), ("validation", "prompts")),
    "validate": (("validation", "pairs"), ("validation", "prompts")),
    "test": (("test", "prompts"),),
    "predict": (("test", "prompts"),),
}


class TableToTextDataModule(TrainerAwareDataModule):
    """Batches of one table-to-text set, tokenised once and cached.

    A teacher-forced batch holds `input_ids` and `attention_mask` (B, T), padded on the right, `labels` (B, T), -100
    outside the text and its end token, and `index` (B,), the pair's number in its split. A generation batch holds
    `input_ids` and `attention_mask` (B, P), padded on the left, and `index` (B,), the place in `items(split)`. For an
    encoder-decoder model `input_ids` are the source's, padded on the right, and `labels` the text's.

    Validation has one loader of teacher-forced pairs and, unless `generate_examples` is 0, one of prompts; test and
    predict have one of all prompts.

    Args:
        source: Where the set comes from.
        backbone: Backbone whose tokenizer is used: `builtin/gpt2`, a local folder or a hub name.
        gguf_file: Name of a GGUF file in the backbone's folder, to be read in place of its other files.
        train_batch_size: Rows in a training batch of one process.
        eval_batch_size: Rows in an evaluation batch of one process.
        max_length: Number of tokens of prompt and text together at which a row is cut.
        max_context: Number of tokens at which a prompt is cut; the last ones are kept.
        generate_examples: Number of validation items, the first ones, to generate from each epoch; 0 for none.
        num_workers: Processes that load batches; 0 loads them in the main process.
        cache_dir: Folder for the tokenised data; null means ~/.cache/dylora (or $XDG_CACHE_HOME/dylora).
        seed: Seed of the order of the training rows.

    Attributes:
        set_name: `e2e`, `webnlg`, `dart` or `restaurants`.
        full_name: The set's name with its form, for results: `e2e-official` or `e2e-respaced`.

    Raises:
        InputError: If a number is out of range.
    """

    def __init__(
        self,
        source: TextSource,
        backbone: str = "builtin/gpt2",
        gguf_file: str | None = None,
        train_batch_size: int = 8,
        eval_batch_size: int = 16,
        max_length: int = 512,
        max_context: int = 448,
        generate_examples: int = 32,
        num_workers: int = 0,
        cache_dir: str | None = None,
        seed: int = 10,
    ) -> None:
        super().__init__()
        check_at_least("data", 1, train_batch_size=train_batch_size, eval_batch_size=eval_batch_size)
        check_at_least("data", 0, generate_examples=generate_examples, num_workers=num_workers)
        self.set_name = source.name
        self.full_name = source.full_name
        self._source = source
        self._backbone = backbone
        self._gguf_file = gguf_file
        self._batch_sizes = {"train": train_batch_size, "eval": eval_batch_size}
        self._max_length = max_length
        self._max_context = max_context
        self._generate_examples = generate_examples
        self._num_workers = num_workers
        self._cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        self._seed = seed
        self._entries: dict[str, list[Entry]] = {}
        self._items: dict[str, list[Item]] = {}
        self._rows: dict[tuple[str, Kind], Dataset] = {}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The backbone's tokenizer.

        Raises:
            InputError: If it has no end token, without which a text would never end.
        """
        tokenizer = tokenizer_for(self._backbone, self._gguf_file)
        if tokenizer.eos_token_id is None:
            allowed = "a backbone whose tokenizer has an end token"
            raise InputError("model.backbone", allowed, f"{self._backbone} without one", "add eos_token to it")
        return tokenizer

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether source and text go into the backbone separately."""
        return self._architecture.is_encoder_decoder

    @cached_property
    def _architecture(self) -> Architecture:
        return architecture_of(self._backbone, self._gguf_file)

    @cached_property
    def limits(self) -> Limits:
        """Where rows are cut, after the backbone's own limits."""
        return limits(self.tokenizer, self._architecture.window, self._max_length, self._max_context)

    def items(self, split: str) -> list[Item]:
        """The prompts of a split with their references, in the order of the file.

        Args:
            split: `train`, `validation` or `test`.

        Raises:
            InputError: If the split's file is missing or unusable.
        """
        if split not in self._items:
            self._items[split] = group(self._read(split), self._source.most_references)
        return self._items[split]

    def _read(self, split: str) -> list[Entry]:
        if split not in self._entries:
            self._entries[split] = self._source.entries(split)
            rejected = sum(len(entry.rejected) for entry in self._entries[split])
            if rejected:
                rank_zero_info(f"{self.full_name} {split}: left out {rejected} texts that the set marks as faulty")
        return self._entries[split]

    def prepare_data(self) -> None:
        """Tokenise what the cache does not have yet; Lightning calls it in one process of a machine.

        Raises:
            InputError: If the data, the tokenizer or the cache folder is unusable.
        """
        stage = self.trainer.state.fn if self.trainer is not None else None
        for split, kind in _NEEDED[stage or "fit"]:
            self._encoded(split, kind)

    def setup(self, stage: str) -> None:
        """Read the stage's rows from the cache and report what was cut or left out.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: As in `prepare_data`, or if the test set has no references and the stage is `test`.
        """
        if stage == "test":
            self._check_references()
        for split, kind in _NEEDED[stage]:
            if (split, kind) not in self._rows:
                self._rows[split, kind] = self._encoded(split, kind)
                self._report(split, kind)

    def _check_references(self) -> None:
        if not any(item.references for item in self.items("test")):
            allowed = "predict where the test file has no references"
            raise InputError("test", allowed, self.full_name, "put the test file with references beside it")

    def _encoded(self, split: str, kind: Kind) -> Dataset:
        parts = (kind, self._source.key(split), *self._encoding)
        return encoded(f"{self.full_name}-{split}-{kind}", parts, lambda: self._encode(split, kind), self._cache_dir)

    @cached_property
    def _encoding(self) -> tuple[str, ...]:
        """What decides, beside the texts, which rows are made."""
        shape = (str(self.limits.row), str(self.limits.prompt), str(self.is_encoder_decoder))
        return (tokenizer_digest(self.tokenizer), *shape)

    def _encode(self, split: str, kind: Kind) -> list[Row]:
        encoder = CompletionEncoder(self.tokenizer, self.is_encoder_decoder, self.limits)
        if kind == "pairs":
            return encoder.pairs(pairs(self._read(split)))
        return encoder.prompts([item.source for item in self.items(split)])

    def _report(self, split: str, kind: Kind) -> None:
        rows = self._rows[split, kind]
        where = f"{self.full_name} {split}"
        prompts, texts = sum(rows["truncated"][:]), sum(rows["cut_text"][:])
        if prompts:
            rank_zero_info(f"{where}: cut {prompts} of {len(rows)} prompts to their last {self.limits.prompt} tokens")
        if texts:
            rank_zero_info(f"{where}: cut {texts} of {len(rows)} texts, at {self.limits.row} tokens")

    def train_dataloader(self) -> DataLoader[Any]:
        """Teacher-forced batches of rows of similar length, in an order that depends on the seed and the epoch."""
        batch_size = self._batch_sizes["train"]
        rows = self._rows["train", "pairs"]
        sampler = train_sampler(rows["length"][:], batch_size, *self.processes(), self._seed)
        return ResumableLoader(**self._options(rows, "pairs", sampler, batch_size), position=self.batches_done)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Teacher-forced pairs, and the prompts of the first `generate_examples` items unless that is 0."""
        loaders = [self._evaluation_loader(self._rows["validation", "pairs"], "pairs")]
        if self._generate_examples:
            prompts = self._rows["validation", "prompts"]
            first = prompts.select(range(min(self._generate_examples, len(prompts))))
            loaders.append(self._evaluation_loader(first, "prompts"))
        return loaders

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """The prompts of all test items."""
        return [self._evaluation_loader(self._rows["test", "prompts"], "prompts")]

    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """The prompts of all test items."""
        return self.test_dataloader()

    def _evaluation_loader(self, rows: Dataset, kind: Kind) -> DataLoader[Any]:
        sampler = EvaluationSampler(rows["length"][:], *self.processes())
        return DataLoader(**self._options(rows, kind, sampler, self._batch_sizes["eval"]))

    def _options(self, rows: Dataset, kind: Kind, sampler: Sampler[int], batch_size: int) -> dict[str, Any]:
        if self._num_workers:
            # Tokenising is over; without this line the tokenizers library warns about every forked worker.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        side: Literal["left", "right"] = "left" if kind == "prompts" and not self.is_encoder_decoder else "right"
        pad_id = self.tokenizer.pad_token_id
        assert pad_id is not None
        rows = rows.remove_columns(["length", "truncated", "cut_text"])
        return loader_options(
            rows, sampler, batch_size, self._num_workers, CompletionCollator(pad_id, side), self._seed
        )
