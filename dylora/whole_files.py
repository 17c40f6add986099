"""Files that are written whole or not at all, and what can be known of a place before anything is written there."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dylora.errors import InputError

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)
_PROBE = 1 << 16  # bytes; a full disk still takes a file of none


class UnwritableError(InputError):
    """A file could not be written: the disk is full, the folder is read-only or gone."""

    def with_fix(self, fix: str) -> "UnwritableError":
        """The same with another word on what to do."""
        argument, allowed, given, _ = self.args
        return UnwritableError(argument, allowed, given, fix)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write into that takes the place of another one only when it is whole.

    It is written beside the target, so on the same file system, brought to the disk and renamed. Whatever happens on
    the way, a reader finds the old file or the new one. A symbolic link stays one: what it points to is replaced.

    Args:
        path: The target; its folder is made if it is not there.

    Yields:
        The file, open for bytes.

    Raises:
        UnwritableError: If it cannot be written; the old file is as it was.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(target.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file at once, a text in UTF-8; arguments and errors as of `whole_file`."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, so that a rename outlives a loss of power."""
    if os.name == "nt":  # there folders cannot be opened, and need not be
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(option: str, folder: Path, needed: int = _PROBE) -> None:
    """Refuse a folder that nothing can be written to; nothing is left there.

    Args:
        option: The option that names the folder.
        folder: The folder, which need not be there: then the nearest one above it counts.
        needed: Bytes that have to be free.

    Raises:
        InputError: If it is no folder, cannot be written, or has not enough room.
    """
    place = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    fix = "choose another place"
    if not place.is_dir():
        raise InputError(option, "a folder that can be written", f"{str(folder)!r}, where {place} is a file", fix)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_PROBE))
            file.flush()
        free = shutil.disk_usage(place).free
    except OSError as error:
        given = f"{str(folder)!r} ({error.strerror})"
        raise InputError(option, "a folder that can be written", given, fix) from error
    if free < needed:
        given = f"{str(folder)!r} with {_size(free)}"
        raise InputError(option, f"a folder with {_size(needed)} free", given, f"free some space, or {fix}")


def is_of_the_disk(error: Exception) -> bool:
    """Whether an error says that a disk is full, read-only or broken; safetensors says it in words alone."""
    number = getattr(error, "errno", None)
    return (
        isinstance(error, UnwritableError)
        or number in _OF_THE_DISK
        or any(f"(os error {known})" in str(error) for known in _OF_THE_DISK)
    )


def unwritable(path: Path, error: Exception) -> UnwritableError:
    """What is said of a file or a folder that could not be written."""
    given = f"one that cannot ({getattr(error, 'strerror', None) or error})"
    fix = "free some space or choose another place; what was there before is as it was"
    return UnwritableError(str(path), "one that can be written", given, fix)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
