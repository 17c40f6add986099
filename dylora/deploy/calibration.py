"""What training texts say of an adapter's layers, for the two-sided cut of a LoRA without a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from dylora.adapters.sensitivity import Sensitivities, gather_sensitivities
from dylora.errors import InputError

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
    writes = getattr(model, "get_output_embeddings", lambda: None)() is not None
    output = "score" if not writes and config.num_labels == 1 else "classes"

    def outputs_of(batch: Any) -> Tensor:  # noqa: ANN401
        logits: Tensor = model(**batch).logits
        return logits[batch["attention_mask"].bool()] if writes else logits

    return gather_sensitivities(model, _batches(texts, tokenizer), outputs_of, output)  # type: ignore[arg-type]


def _batches(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, torch.Tensor]]:
    for start in range(0, len(texts), _ROWS):
        given = [text.split("\t", 1) for text in texts[start : start + _ROWS]]
        sentences = [[each[0] for each in given]]
        if any(len(each) > 1 for each in given):
            sentences.append([each[-1] if len(each) > 1 else "" for each in given])
        rows = tokenizer(*sentences, padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt")
        yield {key: rows[key] for key in tokenizer.model_input_names if key in rows}
