"""Rows made once, kept on disk under a name that says what went in."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dylora.backbones import hub_logs
from dylora.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]

FORMAT_VERSION = "1"  # Raise it when the cached columns change.
# Columns about the rows: tokens of the longer side, whether the input was cut, whether the text to write was cut.
LENGTH, TRUNCATED, CUT_TEXT = "length", "truncated", "cut_text"


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/dylora`, or `~/.cache/dylora`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dylora"


def cached(name: str, parts: Sequence[str], make: Callable[[], "Dataset"], cache_dir: Path) -> "Dataset":
    """Rows from the cache if it has them, else made and put there.

    Args:
        name: Readable beginning of the cache folder's name, such as `rte-train` or `e2e-respaced-train-pairs`.
        parts: Everything that decides what the rows are.
        make: Makes the rows, with the columns `length` and `truncated`; called only if the cache does not have them.
        cache_dir: Where the cache lies; made if missing.

    Raises:
        InputError: If the cache folder cannot be written.
    """
    digest = hashlib.sha256("/".join((FORMAT_VERSION, *parts)).encode()).hexdigest()[:20]
    folder = cache_dir / f"{name}-{digest}"
    rows = _load(folder)
    if rows is None:
        with hub_logs.quiet():
            _store(make(), folder)
        rows = _load(folder)
        assert rows is not None
    return rows


def _load(folder: Path) -> "Dataset | None":
    """The cached rows; nothing if they are not there or cannot be read, in which case they are made anew."""
    if not folder.is_dir():
        return None
    from datasets import Dataset, load_from_disk

    try:
        dataset = load_from_disk(folder)
    except Exception:  # Whatever a damaged file makes pyarrow or json raise.
        return None
    return dataset if isinstance(dataset, Dataset) and TRUNCATED in dataset.column_names else None


def _store(dataset: "Dataset", folder: Path) -> None:
    """Write beside the final place, then rename: no other process ever sees half a cache."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as scratch:
            dataset.save_to_disk(Path(scratch) / "new")
            if folder.exists() and _load(folder) is None:
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
