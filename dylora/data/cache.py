"""Rows made once, kept on disk under a name that says what went in."""

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dylora.backbones import hub_logs
from dylora.data.cache_folders import CONTENTS, SCRATCH, RowCache, folder_name, hold
from dylora.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]

FORMAT_VERSION = "1"  # Raise it when the cached columns change.
# Columns about the rows: tokens of the longer side, whether the input was cut, whether the text to write was cut.
LENGTH, TRUNCATED, CUT_TEXT = "length", "truncated", "cut_text"
_ABOUT = "Tokenised rows that dylora keeps for its next run. This folder can be deleted whenever no run uses it."


def cached(
    name: str,
    parts: Sequence[str],
    make: Callable[[], "Dataset"],
    cache: RowCache,
    about: Mapping[str, str | int] | None = None,
) -> "Dataset":
    """Rows from the cache if it has them whole, else made and put there.

    Args:
        name: Readable beginning of the cache folder's name, such as `rte-train` or `e2e-respaced-train-pairs`.
        parts: Everything that decides what the rows are.
        make: Makes the rows, with the columns `length` and `truncated`; called only if the cache does not have them.
        cache: Where the rows are kept, and how much of them.
        about: What to say of the rows in the file `contents.json` of their folder.

    Raises:
        InputError: If the cache folder cannot be written.
    """
    digest = hashlib.sha256("/".join((FORMAT_VERSION, *parts)).encode()).hexdigest()[:20]
    folder = cache.folder / folder_name(name, FORMAT_VERSION, digest)
    rows = _load(folder)
    if rows is None:
        with hub_logs.quiet():
            made = make()
            _store(made, folder, {"name": name, "format": FORMAT_VERSION, **(about or {})})
        rows = _load(folder)  # from the disk, so that workers share them
        cache.make_room(FORMAT_VERSION)
    return made if rows is None else rows  # another process may have needed the room


def _load(folder: Path) -> "Dataset | None":
    """The cached rows, whose folder stays as long as they are used; nothing if they are not there as written."""
    held = hold(folder)
    if held is None:
        return None
    dataset = _read(folder) if _is_whole(folder) else None
    if dataset is None:
        os.close(held)
    else:
        weakref.finalize(dataset, os.close, held)
    return dataset


def _read(folder: Path) -> "Dataset | None":
    from datasets import Dataset, load_from_disk

    try:
        dataset = load_from_disk(folder)
    except Exception:  # Whatever a damaged file makes pyarrow or json raise.
        return None
    return dataset if isinstance(dataset, Dataset) and TRUNCATED in dataset.column_names else None


def _store(dataset: "Dataset", folder: Path, about: Mapping[str, str | int]) -> None:
    """Write beside the final place, then rename: no other process ever sees half a cache."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=SCRATCH) as scratch:
            new = Path(scratch) / "new"
            dataset.save_to_disk(new)
            (new / CONTENTS).write_text(json.dumps(_contents(dataset, new, about), indent=2) + "\n", encoding="utf-8")
            if folder.exists() and _load(folder) is None:
                folder.rename(Path(scratch) / "damaged")
            _rename_unless_made(new, folder)
    except OSError as error:
        allowed = "a folder that can be written"
        fix = f"({error.strerror or error}) free some space there, or give another one with --data.cache_dir"
        raise InputError("data.cache_dir", allowed, folder.parent, fix) from error


def _rename_unless_made(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():  # Else another process was faster and has put the same rows there.
            raise
        shutil.rmtree(new)


def _contents(dataset: "Dataset", folder: Path, about: Mapping[str, str | int]) -> dict[str, object]:
    """What a folder holds, for people, and what its files must be, for the next run."""
    return {
        "about": _ABOUT,
        **about,
        "rows": len(dataset),
        "columns": dataset.column_names,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": {path.name: _digest(path) for path in sorted(folder.iterdir())},
        "size_and_mtime_ns": {path.name: _stamp(path) for path in sorted(folder.iterdir())},
    }


def _is_whole(folder: Path) -> bool:
    """Whether every file of a folder is as it was written.

    A file whose size and time of change are those of its writing is not read again, so that a start takes no time for
    it; any other one, such as that of a copied folder, is compared bit by bit. A bit that the disk itself has changed,
    without a write, is not found.
    """
    try:
        written = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        digests, stamps = written["sha256"], written.get("size_and_mtime_ns", {})
        return bool(digests) and all(
            _stamp(folder / name) == stamps.get(name) or _digest(folder / name) == digest
            for name, digest in digests.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _stamp(path: Path) -> list[int]:
    """Size in bytes and time of the last change in nanoseconds."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
