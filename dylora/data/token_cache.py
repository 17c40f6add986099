"""Text turned into token ids once, kept on disk under a name that says what went in."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, load_from_disk  # type: ignore[import-untyped]
from transformers import PreTrainedTokenizerBase

from dylora.backbones import hub_logs
from dylora.backbones.tokenizers import tokenizer_digest
from dylora.errors import InputError

FORMAT_VERSION = "1"  # Raise it when the cached columns change.


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/dylora`, or `~/.cache/dylora`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dylora"


def tokenised(
    name: str,
    content_key: str,
    read: Callable[[], Dataset],
    text_fields: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    cache_dir: Path,
) -> Dataset:
    """Token ids of a split, from the cache if it has them, else made and put there.

    Args:
        name: Readable beginning of the cache folder's name, such as `rte-train`.
        content_key: Hash of the rows.
        read: Gives the rows; called only if the cache does not have them.
        text_fields: The one or two columns to tokenise.
        tokenizer: The backbone's tokenizer.
        max_length: Number of tokens at which a row is cut; the tokenizer's own limit applies if it is lower.
        cache_dir: Where the cache lies; made if missing.

    Returns:
        The rows, with the text columns replaced by the tokenizer's, `length` (number of tokens) and `truncated`.

    Raises:
        InputError: If `max_length` leaves no room for text, or the cache folder cannot be written.
    """
    limit = token_limit(tokenizer, max_length, len(text_fields))
    parts = (FORMAT_VERSION, content_key, tokenizer_digest(tokenizer), str(limit), *text_fields)
    folder = cache_dir / f"{name}-{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:20]}"
    cached = load(folder)
    if cached is None:
        with hub_logs.quiet():
            made = _tokenise(read(), text_fields, tokenizer, limit)
            store(made, folder)
        cached = load(folder)
        assert cached is not None
    return cached


def token_limit(tokenizer: PreTrainedTokenizerBase, max_length: int, sentences: int) -> int:
    """The number of tokens at which a row is cut.

    Raises:
        InputError: If no text would be left beside the special tokens.
    """
    least = tokenizer.num_special_tokens_to_add(pair=sentences == 2) + sentences
    if max_length < least:
        fix = "leave room for the text beside the special tokens"
        raise InputError("data.max_length", f"at least {least}", max_length, fix)
    return min(max_length, tokenizer.model_max_length)


def _tokenise(rows: Dataset, text_fields: Sequence[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> Dataset:
    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        texts = [batch[field] for field in text_fields]
        encoded = tokenizer(*texts, padding=False, truncation=False, verbose=False)
        truncated = [len(ids) > limit for ids in encoded["input_ids"]]
        if any(truncated):
            encoded = tokenizer(*texts, padding=False, truncation=True, max_length=limit)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        return {**encoded, "length": lengths, "truncated": truncated}

    # In memory, since the result is stored below under this module's own key.
    return rows.map(
        encode,
        batched=True,
        remove_columns=list(text_fields),
        keep_in_memory=True,
        new_fingerprint="0" * 16,
    )


def load(folder: Path) -> Dataset | None:
    """The cached rows; nothing if they are not there or cannot be read, in which case they are made anew."""
    if not folder.is_dir():
        return None
    try:
        dataset = load_from_disk(folder)
    except Exception:  # Whatever a damaged file makes pyarrow or json raise.
        return None
    return dataset if isinstance(dataset, Dataset) and "truncated" in dataset.column_names else None


def store(dataset: Dataset, folder: Path) -> None:
    """Write beside the final place, then rename: no other process ever sees half a cache."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as scratch:
            dataset.save_to_disk(Path(scratch) / "new")
            if folder.exists() and load(folder) is None:
                folder.rename(Path(scratch) / "damaged")
            _rename_unless_made(Path(scratch) / "new", folder)
    except OSError as error:
        allowed = "a folder that can be written"
        fix = f"({error.strerror or error}) give another one with --data.cache_dir"
        raise InputError("data.cache_dir", allowed, folder.parent, fix) from error


def _rename_unless_made(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():  # Else another process was faster and has put the same rows there.
            raise
        shutil.rmtree(new)
