"""Folders that are there whole or not at all, and never written over."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dylora.errors import InputError
from dylora.whole_files import check_writable, is_of_the_disk, sync_folder, unwritable


def check_new(folder: Path) -> None:
    """Refuse a folder that exists, or that could not be written.

    Raises:
        InputError: If it is one.
    """
    if folder.exists():
        raise InputError("--output", "a new folder", f"{str(folder)!r}, which exists", "choose another name")
    check_writable("--output", folder)


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
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        _sync(partial)
        partial.rename(folder)
        sync_folder(folder.parent)
    except Exception as error:
        if not is_of_the_disk(error):
            raise
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Bring all files of a folder to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
