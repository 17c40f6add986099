"""Sentences and pairs of sentences as token ids."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from dylora.data.cache import LENGTH, TRUNCATED
from dylora.data.progress import ROWS_AT_ONCE, Counted, silent
from dylora.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]


def token_limit(tokenizer: PreTrainedTokenizerBase, max_length: int, sentences: int) -> int:
    """The number of tokens at which a row is cut.

    Args:
        tokenizer: The backbone's tokenizer, which may have a limit of its own.
        max_length: Wanted limit.
        sentences: Sentences in a row, 1 or 2.

    Raises:
        InputError: If no text would be left beside the special tokens.
    """
    least = tokenizer.num_special_tokens_to_add(pair=sentences == 2) + sentences
    if max_length < least:
        fix = "leave room for the text beside the special tokens"
        raise InputError("data.max_length", f"at least {least}", max_length, fix)
    return min(max_length, tokenizer.model_max_length)


def sentence_rows(
    rows: "Dataset",
    text_fields: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    open_bar: Counted = silent,
) -> "Dataset":
    """Rows with their text columns replaced by the tokenizer's, `length` (number of tokens) and `truncated`.

    Args:
        rows: The rows.
        text_fields: The one or two columns to tokenise; of two, the longer sentence is cut first.
        tokenizer: The backbone's tokenizer.
        limit: Number of tokens at which a row is cut.
        open_bar: Opens a bar over the rows.
    """

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        texts = [batch[field] for field in text_fields]
        encoded = dict(tokenizer(*texts, padding=False, truncation=False, verbose=False))
        truncated = [len(ids) > limit for ids in encoded["input_ids"]]
        if long := [place for place, is_cut in enumerate(truncated) if is_cut]:
            cut = tokenizer(*([field[place] for place in long] for field in texts), truncation=True, max_length=limit)
            for name, values in cut.items():
                for place, value in zip(long, values, strict=True):
                    encoded[name][place] = value
        advance(len(truncated))
        return {**encoded, LENGTH: [len(ids) for ids in encoded["input_ids"]], TRUNCATED: truncated}

    with open_bar(len(rows)) as advance:
        return rows.map(
            encode,
            batched=True,
            batch_size=ROWS_AT_ONCE,
            remove_columns=list(text_fields),
            keep_in_memory=True,
            new_fingerprint="0" * 16,  # Any will do, since the result is stored under a key of this package.
        )
