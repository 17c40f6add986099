"""Folders that are there whole or not at all, and never written over."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dylora.errors import InputError


def check_new(folder: Path) -> None:
    """Refuse a folder that exists.

    Raises:
        InputError: If it does.
    """
    if folder.exists():
        raise InputError("--output", "a new folder", f"{str(folder)!r}, which exists", "choose another name")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name when the `with` block has ended well and goes when it has not.

    Args:
        folder: The name.

    Yields:
        The folder to write into.

    Raises:
        InputError: If it exists, or cannot be written.
    """
    check_new(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        given = f"{str(folder)!r} ({error.strerror}: {error.filename})"
        raise InputError("--output", "a folder that can be written", given, "choose another place") from error
    try:
        yield partial
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
