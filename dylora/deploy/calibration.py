"""Training examples for the two-sided and the learned cut of a LoRA without a run."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from dylora.adapters.active_rank import rank_state, use_rank
from dylora.adapters.distillation import distillation_losses
from dylora.adapters.learned_order import learn_order_
from dylora.adapters.rank_per_row import check_rank_per_row
from dylora.adapters.sensitivity import Batch, Output, Sensitivities, gather_sensitivities
from dylora.data.completion import IGNORED
from dylora.errors import InputError
from dylora.modules.image_classification import image_logits
from dylora.modules.stacked_ranks import rows_of
from dylora.progress import with_bar

_TEXTS, _ROWS, _TOKENS = 1000, 16, 256
_NO_INPUTS = ("labels", "index", "rank")


@dataclass(frozen=True)
class Examples:
    """Batches of training examples, and what an adapted model gives for them.

    Attributes:
        batches: Can be gone through more than once.
        outputs_of: Gives the outputs of a batch, at the active ranks.
        output: What those are: `score`, or `classes` (two, more, or a vocabulary).
    """

    batches: Iterable[Batch]
    outputs_of: Callable[[Batch], Tensor]
    output: Output

    def sensitivities(self, model: nn.Module, examples: int = 1000) -> Sensitivities:
        """What the two-sided cut needs, on so many rows."""
        batches = with_bar(self.batches, examples, "Weighing the cut", size=rows_of)
        return gather_sensitivities(model, batches, self.outputs_of, self.output, examples=examples)

    def learn_order_(self, model: nn.Module, steps: int) -> None:
        """Learn the order of a sorted adapter, so that its lower ranks say what the whole one says; no label is used.

        A batch costs two forwards and a backward.

        Args:
            model: The adapted model.
            steps: Number of batches; they are gone through again where there are fewer.
        """
        first = next(iter(self.batches))
        inputs = {name: first[name] for name in first if name not in _NO_INPUTS}
        endless = chain.from_iterable(repeat(self.batches))
        batches = with_bar(islice(endless, steps), steps, "Learning the order")
        per_row = not getattr(model.config, "is_encoder_decoder", False) and check_rank_per_row(model, inputs)
        learn_order_(model, batches, partial(self._distance, model), steps=steps, rank_per_row=per_row)

    def _distance(self, model: nn.Module, batch: Batch) -> Tensor:
        outputs = self.outputs_of(batch)
        with torch.no_grad(), use_rank(model, rank_state(model).config.max_rank):
            whole = self.outputs_of(batch)
        return distillation_losses(outputs, whole, "mse" if self.output == "score" else "kl").sum()


def examples_of_texts(model: nn.Module, tokenizer: PreTrainedTokenizerBase, path: Path) -> Examples:
    """Texts for a classifier or a causal language model.

    Args:
        model: A model of transformers, adapted or not.
        tokenizer: Its tokenizer, with a padding token.
        path: A file with a text in each line, or with pairs, divided by a tab; 1,000 of them are taken. Of longer texts
            the first 256 tokens count.

    Raises:
        InputError: If the file is missing or has no text, or the model is an encoder-decoder model.
    """
    config: Any = model.config
    if config.is_encoder_decoder:
        allowed = "left out for an encoder-decoder model"
        raise InputError("--calibrate", allowed, path, "leave it out, for the SVD")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("--calibrate", "a text file", f"{str(path)!r} ({error})", "check the path") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise InputError("--calibrate", "a file with a text in each line", f"{str(path)!r}, which has none", "fill it")
    writes = _writes(model)
    output: Output = "score" if not writes and config.num_labels == 1 else "classes"

    def outputs_of(batch: Any) -> Tensor:  # noqa: ANN401
        logits: Tensor = model(**batch).logits
        return logits[batch["attention_mask"].bool()] if writes else logits

    return Examples(list(_batches(texts[:_TEXTS], tokenizer)), outputs_of, output)


def examples_of_batches(model: nn.Module, batches: Iterable[Batch]) -> Examples:
    """A data module's training batches for a classifier of sentences or images, or for a language model.

    Args:
        model: A model of transformers, adapted or not.
        batches: As the data modules here make them, with `labels`; can be gone through more than once.
    """
    config: Any = model.config
    is_score = not _writes(model) and config.num_labels == 1
    return Examples(batches, partial(_outputs, model), "score" if is_score else "classes")


def _outputs(model: Any, batch: Batch) -> Tensor:  # noqa: ANN401
    """Logits of the rows or, of a language model, of the labelled tokens."""
    inputs = {name: value for name, value in batch.items() if name not in _NO_INPUTS}
    if "pixel_values" in inputs:
        return image_logits(model, inputs)
    if not _writes(model):
        return cast(Tensor, model(**inputs).logits)
    labels = batch["labels"]
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=labels)
        return cast(Tensor, model(**inputs).logits[labels != IGNORED])
    return cast(Tensor, model(**inputs).logits[:, :-1][labels[:, 1:] != IGNORED])


def _writes(model: Any) -> bool:  # noqa: ANN401
    return getattr(model, "get_output_embeddings", lambda: None)() is not None


def _batches(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, torch.Tensor]]:
    for start in range(0, len(texts), _ROWS):
        given = [text.split("\t", 1) for text in texts[start : start + _ROWS]]
        sentences = [[each[0] for each in given]]
        if any(len(each) > 1 for each in given):
            sentences.append([each[-1] if len(each) > 1 else "" for each in given])
        rows = tokenizer(*sentences, padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt")
        yield {key: rows[key] for key in tokenizer.model_input_names if key in rows}
