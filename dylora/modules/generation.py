"""Language models that write text: perplexity, and generated text with its scores, at every rank."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Protocol, cast

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from torch import Tensor
from torchmetrics import Metric
from transformers import PreTrainedTokenizerBase
from typing_extensions import override

from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.dtype import BackboneDType
from dylora.backbones.load import load_generator
from dylora.backbones.quantization import Quantization
from dylora.data.completion import IGNORED
from dylora.data.sources.prompt_source import TASK as OWN_DATA
from dylora.data.sources.text_items import Item
from dylora.decoding import (
    PresetName,
    end_token_ids,
    generate_at_own_ranks,
    generate_at_ranks,
    preset,
    ranks_of_calls,
    text_of,
)
from dylora.errors import InputError
from dylora.metrics.language_model import TokenMetrics
from dylora.metrics.nlg import meteor
from dylora.modules.all_processes import from_all_processes
from dylora.modules.base import EveryRankModule
from dylora.modules.generated_text import show_texts
from dylora.modules.labelled_tokens import LabelledTokens
from dylora.modules.packed_batch import check_packed
from dylora.modules.stacked_ranks import Batch
from dylora.modules.text_outcomes import text_outcomes
from dylora.modules.text_scores import item_score, score_names, score_texts
from dylora.rank_curve.kept import KeptOutcomes
from dylora.rank_curve.table import shown_ranks

Record = dict[str, Any]
_PREDICTED = ("perplexity", "token_accuracy")
_SHOWN = 4  # items whose texts are shown on TensorBoard


class TextData(Protocol):
    """What a module that writes text asks of its data module."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The backbone's tokenizer, with a padding token."""

    def items(self, split: str) -> Sequence[Item]:
        """The items of a split; the `index` of a batch is an item's place here."""

    # `end_ids`, a tuple of the tokens that end a text there, is optional; without it an empty line ends one, too.


class GenerationModule(EveryRankModule):
    """A language model with DyLoRA adapters that learns to write texts for what it is shown.

    Batches with `labels` are predicted: `input_ids` and `attention_mask` (B, T), padded on the right, and labels that
    are -100 outside the text. Batches without are prompts to generate from, padded on the left. An encoder-decoder
    model has sources as `input_ids` (B, S) and texts as labels (B, T).

    Args:
        task: Name of the data set, which decides its scores; taken from the data on the command line.
        backbone: Hub name or local folder of a causal or encoder-decoder language model, or `builtin/gpt2`, the tiny
            one of this package.
        gguf_file: Name of a GGUF file in the backbone's folder, to be read in place of its other weights.
        adapter: Shape, scaling and place of the adapters.
        learning_rate: Peak learning rate, above 0.
        weight_decay: Decoupled weight decay of matrices, 0 or larger.
        label_smoothing: Share of the training target that is spread over the vocabulary, from 0 up to but without 1;
            evaluation is without.
        decoding: Protocol of the generated text: `e2e`, `webnlg` and `dart` (the paper's), `e2e_lora` (that of LoRA's
            published commands), `greedy` or `sampling`; null takes that of the data set.
        num_beams: Beams of beam search, 1 for none; null here and below keeps the protocol's value.
        length_penalty: Exponent of the length by which beam search divides log-probabilities.
        no_repeat_ngram_size: Size of the n-grams that occur at most once in a generated text; 0 allows all.
        max_new_tokens: Largest number of generated tokens, the end token included.
        temperature: Of the sampling, above 0.
        top_p: Probability mass that sampling draws from, above 0 and at most 1.
        sampling_seed: Seed of the sampling, 0 or larger.
        quantization: Load the backbone in 4 bits (`nf4`) or 8 bits (`int8`, needs `pip install "dylora[quantized]"`);
            the adapters keep fp32. Merging is not possible then.
        backbone_dtype: Type in which the frozen backbone is held and computes, `fp32` or `bf16`, which takes half the
            memory; the adapters are trained in fp32.
        monitor: The metric that rank curves, checkpoints and the chosen rank go by: `perplexity` (also for null),
            `token_accuracy`, `loss` or one of the data set's scores. A score needs texts of the validation split,
            `data.generate_examples` of them.
        **options: As for every module that is evaluated at every rank.

    Attributes:
        decoding: How text is generated.
        predictions: The texts of the last evaluation: for each rank, records of `index` and `text` in the order of the
            data, from all processes. Empty where nothing was generated.
        unavailable: Scores that the last evaluation lacks since what they need is not installed.
    """

    kind: ClassVar[str] = "texts"

    outcome_kind = "tokens"

    def __init__(
        self,
        task: str = "restaurants",
        backbone: str = "builtin/gpt2",
        gguf_file: str | None = None,
        adapter: DyLoRAConfig = DyLoRAConfig(max_rank=4, alpha=32, dropout=0.1),  # noqa: B008 (frozen)
        learning_rate: float = 2e-4,
        weight_decay: float = 0.01,
        label_smoothing: float = 0.1,
        decoding: PresetName | None = None,
        num_beams: int | None = None,
        length_penalty: float | None = None,
        no_repeat_ngram_size: int | None = None,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        sampling_seed: int | None = None,
        quantization: Quantization | None = None,
        backbone_dtype: BackboneDType = "fp32",
        monitor: str | None = None,
        **options: Any,  # noqa: ANN401 (those of the base)
    ) -> None:
        if not 0 <= label_smoothing < 1:
            allowed = "from 0 up to but without 1"
            raise InputError("model.label_smoothing", allowed, label_smoothing, "0 switches it off")
        changes = {"num_beams": num_beams, "length_penalty": length_penalty, "max_new_tokens": max_new_tokens}
        changes |= {"no_repeat_ngram_size": no_repeat_ngram_size, "sampling_seed": sampling_seed}
        self.decoding = preset(decoding or _protocol(task), **changes, temperature=temperature, top_p=top_p)
        self.metric_names = (*_PREDICTED, *score_names(task))
        if monitor not in (None, *self.metric_names, "loss"):
            allowed = f"a metric of the data ({', '.join(self.metric_names)}) or loss"
            raise InputError("model.monitor", allowed, repr(monitor), "choose one of them")
        self.monitor = monitor or "perplexity"
        super().__init__(
            load_generator(backbone, gguf_file, quantization, backbone_dtype),
            backbone,
            task,
            adapter,
            new_parameters=(),
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            **options,
        )
        self.task = task
        self.label_smoothing = label_smoothing
        self.predictions: dict[int, list[Record]] = {}
        self.unavailable: tuple[str, ...] = ()
        self._packing_checked = False
        self._labelled = LabelledTokens(self.model)
        self._written: dict[int, list[Record]] = {rank: [] for rank in adapter.ranks}
        self._split = "validation"

    def setup(self, stage: str) -> None:
        """Take the tokenizer and the items from the trainer's data module.

        Raises:
            InputError: If it has none.
        """
        data = cast(Any, self.trainer).datamodule
        if not (hasattr(data, "items") and hasattr(data, "tokenizer")):
            allowed = "a data module of texts, with `items` and a `tokenizer`, for GenerationModule"
            fix = "choose one, such as --data E2EDataModule or --data RestaurantTextDataModule"
            raise InputError("--data", allowed, type(data).__name__ if data else "none", fix)
        super().setup(stage)
        self.bind(data)

    def bind(self, data: TextData) -> None:
        """Choose the data that indices and tokens belong to; `setup` does it with the trainer's.

        Raises:
            InputError: If the tokenizer has no end token.
        """
        self._data = data
        end_ids: tuple[int, ...] | None = getattr(data, "end_ids", None)
        self._end_ids = end_ids or end_token_ids(data.tokenizer)
        self._is_one_paragraph = end_ids is None

    def build_metric(self) -> Metric:
        """Perplexity, token accuracy and loss."""
        return TokenMetrics()

    def losses_of(self, batch: Batch, groups: int) -> tuple[Tensor, Tensor]:
        """Mean loss of a token in each group, and for each row its loss, its right tokens and its tokens (rows, 3).

        Where gradients are recorded the right tokens are not counted, and are NaN in rows that have tokens.
        """
        labels = self._labels(batch)
        counted = labels != IGNORED
        targets = labels[counted]  # (tokens,)
        losses, best = self._labelled.losses(self._inputs(batch), counted, targets, self._smoothing)
        by_row = torch.zeros_like(labels, dtype=losses.dtype).masked_scatter(counted, losses).sum(1)
        is_right = torch.full_like(losses, math.nan) if best is None else (best == targets).to(losses)
        right = torch.zeros_like(labels, dtype=losses.dtype).masked_scatter(counted, is_right).sum(1)
        tokens = counted.sum(1)
        means = by_row.view(groups, -1).sum(1) / tokens.view(groups, -1).sum(1).clamp(min=1)
        return means, torch.stack([by_row, right, tokens.to(by_row)], 1)

    @override
    def outputs_of(self, batch: Batch) -> Tensor:
        """The logits at the labelled tokens, (tokens, vocabulary)."""
        return self._labelled.logits(self._inputs(batch), self._labels(batch) != IGNORED)

    @override
    def losses_at(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy at each labelled token, and the row that it stands in."""
        labels = self._labels(batch)
        counted = labels != IGNORED
        losses = F.cross_entropy(outputs, labels[counted], reduction="none", label_smoothing=self._smoothing)
        return losses, counted.nonzero()[:, 0]

    @override
    def loss_places(self, batch: Batch) -> Tensor:
        """The number of labelled tokens, ()."""
        return (self._labels(batch) != IGNORED).sum()

    def update_metric(self, metric: Metric, outputs: Tensor, batch: Batch, split: int) -> None:
        """Count the tokens of one rank."""
        metric.update(outputs)

    def texts_at_ranks(self, batch: Batch) -> Iterator[tuple[int, list[str]]]:
        """Rank and generated texts of a batch of prompts at each of `eval_ranks`, as many at once as fit `eval_rows`.

        Raises:
            InputError: If a prompt is too long, or the backbone cannot decode in that way.
        """
        tokenizer = self._data.tokenizer
        for ranks in self._ranks_together(batch):
            written = generate_at_ranks(
                self.model,
                batch["input_ids"],
                batch["attention_mask"],
                ranks,
                self.decoding,
                self._end_ids,
                cast(int, tokenizer.pad_token_id),
            )
            for rank, rows_of_rank in zip(ranks, written, strict=True):
                yield rank, [text_of(tokenizer, tokens, self._is_one_paragraph) for tokens in rows_of_rank]
        self._say_if_refuted()

    def most_forwards(self, batch: Batch) -> int:
        """Forwards that `texts_at_ranks` takes at most; a check of the first batch comes on top.

        Each call of `generate` takes one for each new token, and beam search one that its beams share.
        """
        calls = (
            ranks_of_calls(self.model, batch["input_ids"], ranks, self.decoding)
            for ranks in self._ranks_together(batch)
        )
        return sum(map(len, calls)) * (self.decoding.max_new_tokens + (self.decoding.num_beams > 1))

    def _ranks_together(self, batch: Batch) -> list[Sequence[int]]:
        rows = len(batch["input_ids"]) * self.decoding.num_beams
        return self._chunks(self.eval_ranks, max(1, self.eval_rows // rows))

    def texts_at_own_ranks(self, batch: Batch) -> list[str]:
        """Generated texts of a batch of prompts with a `rank` (rows,) each, in one call where the model can do that.

        Raises:
            InputError: As for `texts_at_ranks`, and if a rank is none that the adapter is trained at.
        """
        tokenizer = self._data.tokenizer
        written = generate_at_own_ranks(
            self.model,
            batch["input_ids"],
            batch["attention_mask"],
            batch["rank"],
            self.decoding,
            self._end_ids,
            cast(int, tokenizer.pad_token_id),
        )
        self._say_if_refuted()
        return [text_of(tokenizer, tokens, self._is_one_paragraph) for tokens in written]

    def count(self, batch: Batch, split: int) -> None:
        """Predict a batch with labels, or generate from a batch of prompts, at every rank."""
        if "labels" in batch:
            for rank, _, outputs in self.outputs_at_ranks(batch):
                self.update_metric(self._metric(rank), outputs, batch, split)
                self.keep_outcomes(rank, outputs, batch, split)
            return
        for rank, texts in self.texts_at_ranks(batch):
            numbered = zip(batch["index"].tolist(), texts, strict=True)
            self._written[rank] += [{"index": index, "text": text} for index, text in numbered]

    def figures(self, rank: int) -> dict[str, float]:
        """What was predicted and what was written at one rank, in figures; those of no batch are left out."""
        metric = self._metric(rank)
        metric.update(torch.zeros(0, 3, device=self.device))  # torchmetrics would warn where there were no rows at all
        predicted = metric.compute()
        metric.reset()
        records = from_all_processes(self._written[rank])
        self._written[rank] = []
        if not records:
            return cast(dict[str, float], predicted)
        self.predictions[rank] = sorted(records, key=lambda record: cast(int, record["index"]))
        return {**predicted, **self._scores(rank)}

    @override
    def take_outcomes(self) -> KeptOutcomes | None:
        """What was kept of the predicted tokens or, where a score is monitored, of the written texts."""
        if self.monitor not in score_names(self.task):
            return super().take_outcomes()
        return text_outcomes(self.task, self.monitor, self.predictions, self._data.items(self._split))

    @override
    def on_validation_epoch_end(self) -> None:
        """As for every module.

        Raises:
            InputError: If the monitored score could not be counted.
        """
        super().on_validation_epoch_end()
        if self.monitor in score_names(self.task) and self.monitor not in self.results:
            allowed = f"one of the metrics of this evaluation ({', '.join(self.results)})"
            fix = "choose one, or give the score what it needs: data.generate_examples above 0, references, its extra"
            raise InputError("model.monitor", allowed, self.monitor, fix)

    def on_validation_epoch_start(self) -> None:
        """Forget the texts of the evaluation before."""
        self._begin("validation")

    @override
    def on_validation_end(self) -> None:
        """Show the first texts of an epoch on TensorBoard, in the first process."""
        super().on_validation_end()
        self._show_texts(self.trainer)

    @rank_zero_only
    def _show_texts(self, trainer: Trainer) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            ranks = shown_ranks(sorted(self.predictions))
            show_texts(trainer, {rank: self.records(rank, _SHOWN) for rank in ranks})

    def on_test_epoch_start(self) -> None:
        """Forget the texts of the evaluation before."""
        self._begin("test")

    def records(self, rank: int, most: int | None = None) -> list[Record]:
        """What the last evaluation wrote at a rank, with what it was written for.

        Args:
            rank: The rank.
            most: Largest number of items, the first ones; None for all.

        Returns:
            For each item its `index`, `input`, `references`, `output` and `score`, the ROUGE-L of this one text, 0..1
            (None without references).
        """
        items = self._data.items(self._split)
        return [_described(record, items[record["index"]]) for record in self.predictions.get(rank, [])[:most]]

    @override
    def files(self) -> dict[str, list[Record]]:
        """The texts of each rank, as `rank_<b>`."""
        return {f"rank_{rank}": self.records(rank) for rank in self.predictions}

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> list[Record]:
        """One record a row: its index, and the text at each asked rank; of rows with a `rank` at that one alone."""
        records: list[Record] = [{"index": int(index), "ranks": {}} for index in batch["index"]]
        if "rank" in batch:
            pairs = zip(batch["rank"].tolist(), self.texts_at_own_ranks(batch), strict=True)
            for record, (rank, text) in zip(records, pairs, strict=True):
                record["ranks"][str(rank)] = {"text": text}
            return records
        for rank, texts in self.texts_at_ranks(batch):
            for record, text in zip(records, texts, strict=True):
                record["ranks"][str(rank)] = {"text": text}
        return records

    @property
    def _smoothing(self) -> float:
        return self.label_smoothing if self.training else 0.0

    def _labels(self, batch: Batch) -> Tensor:
        """The labels (rows, T) that the logits predict."""
        return batch["labels"] if cast(Any, self.model).config.is_encoder_decoder else batch["labels"][:, 1:]

    def _inputs(self, batch: Batch) -> dict[str, Any]:
        """Keyword arguments of the model's forward."""
        model = cast(Any, self.model)
        inputs = {"input_ids": batch["input_ids"], "use_cache": False}
        # Places that begin anew make transformers keep the rows of a packed row apart, unless it is given a mask.
        own = "position_ids" if "position_ids" in batch else "attention_mask"
        inputs[own] = batch[own]
        if own == "position_ids" and not self._packing_checked:
            check_packed(self.model, batch)
            self._packing_checked = True
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=batch["labels"])
        return inputs

    def _scores(self, rank: int) -> dict[str, float]:
        items = self._data.items(self._split)
        texts = [record["text"] for record in self.predictions[rank]]
        scores = score_texts(self.task, texts, [items[record["index"]] for record in self.predictions[rank]])
        missing = tuple(name for name, value in scores.items() if value is None)
        if missing and missing != self.unavailable:
            rank_zero_info(meteor.HOW_TO_INSTALL)
        self.unavailable = missing
        return {name: value for name, value in scores.items() if value is not None}

    def _begin(self, split: Literal["validation", "test"]) -> None:
        self._split = split
        self.predictions = {}
        self._written = {rank: [] for rank in self._written}


def _protocol(task: str) -> PresetName:
    """The preset of a data set, `greedy` for a user's own, or the one of E2E, whose style the embedded set has."""
    if task.startswith("webnlg"):
        return "webnlg"
    if task == OWN_DATA:
        return "greedy"
    return "dart" if task.startswith("dart") else "e2e"


def _described(record: Record, item: Item) -> Record:
    text, references = record["text"], list(item.references)
    score = item_score(text, references) if references else None
    return {
        "index": record["index"],
        "input": item.source,
        "references": references,
        "output": text,
        "score": score,
    }
