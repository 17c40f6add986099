"""Lightning data modules of the table-to-text sets: rows to train on, prompts to generate from."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from datasets import Dataset  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_info
from transformers import PreTrainedTokenizerBase
from typing_extensions import override

from dylora.backbones.architecture import Architecture, architecture_of
from dylora.backbones.tokenizers import tokenizer_for
from dylora.data.base import CachedDataModule, Collate, Part
from dylora.data.batching import CompletionCollator
from dylora.data.cache import CUT_TEXT, TRUNCATED
from dylora.data.completion import CompletionEncoder, Limits, completion_rows, limits
from dylora.data.sources import dart, e2e, restaurants, webnlg
from dylora.data.sources.held_out_text import HeldOutText
from dylora.data.sources.holdout import optional_holdout
from dylora.data.sources.text import TextSource, source_for
from dylora.data.sources.text_items import Entry, Item, group, pairs
from dylora.errors import InputError, check_at_least

PAIRS, PROMPTS = "pairs", "prompts"


class TableToTextDataModule(CachedDataModule):
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
        max_context: Number of tokens at which a prompt is cut; the last ones are kept.
        generate_examples: Number of validation items, the first ones, to generate from each epoch; 0 for none.
        validation_share: Validate on this share of the training inputs, which are then not trained on, such as 0.1; for
            choosing options without looking at the validation inputs. Null takes the set's own.
        split_seed: Seed of the choice of these inputs.
        **options: As for every data module.

    Attributes:
        name: The set's name with its form where it has two: `e2e-official` or `e2e-respaced`.
        set_name: `e2e`, `webnlg`, `dart` or `restaurants`.

    Raises:
        InputError: If a number is out of range.
    """

    kind: ClassVar[str] = "texts"

    def __init__(
        self,
        source: TextSource,
        backbone: str = "builtin/gpt2",
        gguf_file: str | None = None,
        train_batch_size: int = 8,
        eval_batch_size: int = 16,
        max_context: int = 448,
        generate_examples: int = 32,
        validation_share: float | None = None,
        split_seed: int = 10,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(
            backbone=backbone, train_batch_size=train_batch_size, eval_batch_size=eval_batch_size, **options
        )
        check_at_least("data", 0, generate_examples=generate_examples)
        self.name = source.full_name
        self.set_name = source.name
        holdout = optional_holdout(validation_share, split_seed)
        self._source = source if holdout is None else HeldOutText(source, holdout)
        self._gguf_file = gguf_file
        self._max_context = max_context
        self._generate_examples = generate_examples
        self._entries: dict[str, list[Entry]] = {}
        self._items: dict[str, list[Item]] = {}

    @property
    @override
    def task_name(self) -> str:
        """The set, by which a model for this data chooses its scores."""
        return self.set_name

    @cached_property
    @override
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

    @property
    @override
    def input_limits(self) -> dict[str, int]:
        """Where prompts and texts are cut, by the names of the options."""
        return {**super().input_limits, "max_context": self._max_context}

    @override
    def described(self, split: str, indices: Sequence[int]) -> list[dict[str, Any]]:
        """What is to be put into words, and its references."""
        items = self.items(split)
        return [{"input": items[index].source, "references": list(items[index].references)} for index in indices]

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
                rank_zero_info(f"{self.name} {split}: left out {rejected} texts that the set marks as faulty")
        return self._entries[split]

    @override
    def parts(self, stage: str) -> tuple[Part, ...]:
        """Pairs and prompts of the validation split, after the training pairs for `fit`; else the test prompts.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.
        """
        if stage in ("test", "predict"):
            return (Part("test", PROMPTS),)
        prompts = (Part("validation", PROMPTS),) if self._generate_examples else ()
        training = (Part("train", PAIRS),) if stage == "fit" else ()
        return (*training, Part("validation", PAIRS), *prompts)

    @override
    def setup(self, stage: str) -> None:
        """Read the stage's rows from the cache and report what was cut or left out.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: As in `prepare_data`, or if the test set has no references and the stage is `test`.
        """
        if stage == "test":
            self._check_references(self.items("test"))
        super().setup(stage)

    def _check_references(self, items: Sequence[Item]) -> None:
        without = [place for place, item in enumerate(items, start=1) if not item.references]
        if len(without) == len(items):
            allowed = "predict where the test file has no references"
            raise InputError("test", allowed, self.name, "put the test file with references beside it")
        if without:
            count = f"{len(without)} of {len(items)} items have no reference and are not scored"
            rank_zero_info(f"{self.name} test: {count}, the first of them is item {without[0]}")

    @override
    def cache_key(self, part: Part) -> tuple[str, ...]:
        """The form of the rows, the entries, the tokenizer and the limits."""
        shape = (str(self.limits.row), str(self.limits.prompt), str(self.is_encoder_decoder))
        return (part.form, self._source.key(part.split), self.tokenizer_key, *shape)

    @override
    def make_rows(self, part: Part) -> Dataset:
        """The pairs of a split, or the prompts of its items, as token ids."""
        encoder = CompletionEncoder(self.tokenizer, self.is_encoder_decoder, self.limits, self.counted(part))
        if part.form == PAIRS:
            return completion_rows(encoder.pairs(pairs(self._read(part.split))))
        return completion_rows(encoder.prompts([item.source for item in self.items(part.split)]))

    @override
    def rows(self, part: Part) -> Dataset:
        """All rows of a part, of the validation prompts the first `generate_examples`."""
        rows = super().rows(part)
        if part == Part("validation", PROMPTS):
            return rows.select(range(min(self._generate_examples, len(rows))))
        return rows

    @override
    def collator(self, part: Part) -> Collate:
        """Padding on the left where a decoder goes on writing at the end of the row, else on the right."""
        side: Literal["left", "right"] = "left" if part.form == PROMPTS and not self.is_encoder_decoder else "right"
        pad_id = self.tokenizer.pad_token_id
        assert isinstance(pad_id, int)
        return CompletionCollator(pad_id, side)

    @override
    def report(self, part: Part) -> None:
        """Tell how many prompts and texts of all were cut."""
        rows = super().rows(part)
        prompts, texts = sum(rows[TRUNCATED][:]), sum(rows[CUT_TEXT][:])
        where = f"{self.name} {part.split}"
        if prompts:
            rank_zero_info(f"{where}: cut {prompts} of {len(rows)} prompts to their last {self.limits.prompt} tokens")
        if texts:
            rank_zero_info(f"{where}: cut {texts} of {len(rows)} texts, at {self.limits.row} tokens")


class E2EDataModule(TableToTextDataModule):
    """Batches of the E2E set: 42,061 training pairs, 630 test items; the official release, not the cleaned one.

    Args:
        form: Form of the texts: `official` as published, or `respaced`, the form that the LoRA code base trains on and
            scores against, with other slot names and punctuation set off by spaces. Scores of the two do not compare.
        data_dir: Folder of the official CSV files (its own or one with a folder `e2e`); null takes the hub.
        **options: As for every table-to-text set.

    Raises:
        InputError: If the form is unknown, a number is out of range or the folder does not exist.
    """

    def __init__(self, form: e2e.Form = "official", data_dir: str | None = None, **options: Any) -> None:  # noqa: ANN401
        super().__init__(source_for(e2e.corpus(form), data_dir), **options)


class WebNLGDataModule(TableToTextDataModule):
    """Batches of WebNLG 2017: 18,025 training pairs, 1,862 test items, 971 of seen and 891 of unseen categories.

    Texts that are marked `toFix` are left out. Items are scored against their first 6 references at most.

    Args:
        data_dir: Folder of the official files as JSON (its own or one with a folder `webnlg`); null takes the hub.
        **options: As for every table-to-text set.

    Raises:
        InputError: If a number is out of range or the folder does not exist.
    """

    def __init__(self, data_dir: str | None = None, **options: Any) -> None:  # noqa: ANN401
        super().__init__(source_for(webnlg.corpus(), data_dir), **options)


class DARTDataModule(TableToTextDataModule):
    """Batches of DART v1.1.1: 62,659 training pairs, 4,159 test items, scored against their first 6 references at most.

    Args:
        data_dir: Folder of the official JSON files (its own or one with a folder `dart`); null takes the hub.
        **options: As for every table-to-text set.

    Raises:
        InputError: If a number is out of range or the folder does not exist.
    """

    def __init__(self, data_dir: str | None = None, **options: Any) -> None:  # noqa: ANN401
        super().__init__(source_for(dart.corpus(), data_dir), **options)


class RestaurantTextDataModule(TableToTextDataModule):
    """Batches of the embedded set: 2,000 training records with 4 texts each, 250 for validation, 250 for the test.

    Args:
        **options: As for every table-to-text set.

    Raises:
        InputError: If a number is out of range.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(restaurants.EmbeddedSource(), **options)

    @property
    @override
    def run_name(self) -> str:
        """The embedded set shares its name with a sentence task, and runs do not share a folder."""
        return f"{self.set_name}_text"
