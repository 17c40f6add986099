"""What training texts say of an adapter's layers, for the two-sided cut of a LoRA without a run."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from dylora.adapters.sensitivity import Batch, Sensitivities, gather_sensitivities
from dylora.data.completion import IGNORED
from dylora.errors import InputError
from dylora.modules.image_classification import image_logits

_ROWS, _TOKENS = 16, 256


def sensitivities_on_texts(model: nn.Module, tokenizer: PreTrainedTokenizerBase, path: Path) -> Sensitivities:
    """Run texts through an adapted classifier or causal language model and gather what the two-sided cut needs.

    Args:
        model: An adapted model of transformers.
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
    output = "score" if not writes and config.num_labels == 1 else "classes"

    def outputs_of(batch: Any) -> Tensor:  # noqa: ANN401
        logits: Tensor = model(**batch).logits
        return logits[batch["attention_mask"].bool()] if writes else logits

    return gather_sensitivities(model, _batches(texts, tokenizer), outputs_of, output)  # type: ignore[arg-type]


def sensitivities_on_batches(model: nn.Module, batches: Iterable[Batch], examples: int = 1000) -> Sensitivities:
    """Run a data module's training batches through an adapted model and gather what the two-sided cut needs.

    Args:
        model: An adapted classifier of sentences or images, or a language model.
        batches: As the data modules here make them, with `labels`.
        examples: How many rows to take.
    """
    config: Any = model.config
    is_score = not _writes(model) and config.num_labels == 1
    return gather_sensitivities(
        model, batches, partial(_outputs, model), "score" if is_score else "classes", examples=examples
    )


def _outputs(model: Any, batch: Batch) -> Tensor:  # noqa: ANN401
    """Logits of the rows or, of a language model, of the labelled tokens."""
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "index", "rank")}
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
