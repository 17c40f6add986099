"""Prompts and texts turned into token ids once, kept on disk under a name that says what went in."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from datasets import Dataset  # type: ignore[import-untyped]

from dylora.backbones import hub_logs
from dylora.data.completion import Row
from dylora.data.token_cache import load, store

FORMAT_VERSION = "1"  # Raise it when the rows change.


def encoded(name: str, parts: Sequence[str], make: Callable[[], list[Row]], cache_dir: Path) -> Dataset:
    """Rows from the cache if it has them, else made and put there.

    Args:
        name: Readable beginning of the cache folder's name, such as `e2e-respaced-train-pairs`.
        parts: Everything that decides what the rows are.
        make: Makes the rows; called only if the cache does not have them.
        cache_dir: Where the cache lies; made if missing.

    Returns:
        The rows with the columns `input_ids`, `labels` (unless the rows are prompts alone), `index` (from 0),
        `length` (tokens of the longer of the two), `truncated` and `cut_text`.

    Raises:
        InputError: If the cache folder cannot be written.
    """
    digest = hashlib.sha256("/".join((FORMAT_VERSION, *parts)).encode()).hexdigest()[:20]
    folder = cache_dir / f"{name}-{digest}"
    cached = load(folder)
    if cached is None:
        with hub_logs.quiet():
            store(_dataset(make()), folder)
        cached = load(folder)
        assert cached is not None
    return cached


def _dataset(rows: list[Row]) -> Dataset:
    columns: dict[str, list[object]] = {
        "input_ids": [row.input_ids for row in rows],
        "index": list(range(len(rows))),
        "length": [max(len(row.input_ids), len(row.labels)) for row in rows],
        "truncated": [row.truncated for row in rows],
        "cut_text": [row.cut_text for row in rows],
    }
    if any(row.labels for row in rows):
        columns["labels"] = [row.labels for row in rows]
    return Dataset.from_dict(columns)
