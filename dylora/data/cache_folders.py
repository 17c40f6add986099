"""The folders of the row cache: their names, which of them are in use, and which go when there are too many."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CONTENTS = "contents.json"
SCRATCH = ".unfinished-"
DEFAULT_GIGABYTES = 10.0
_FOLDER = re.compile(r".+?(?:-v(?P<version>\w+))?-[0-9a-f]{20}")
_ABANDONED_SECONDS = 3600.0  # of a scratch folder that nothing is written to


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/dylora`, or `~/.cache/dylora`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dylora"


def folder_name(name: str, version: str, digest: str) -> str:
    """Name of the folder of some rows.

    >>> folder_name("rte-train", "1", "0" * 20)
    'rte-train-v1-00000000000000000000'
    """
    return f"{name}-v{version}-{digest}"


def hold(folder: Path) -> int | None:
    """Keep a folder from being removed, and note that it was used.

    Returns:
        An open file that keeps it until it is closed, or until the process ends in whichever way; None if the folder
        is not there, or is being removed at this moment.
    """
    marker = folder / CONTENTS
    try:
        file = os.open(marker, os.O_RDONLY)
    except OSError:
        return None
    if not _lock(file, alone=False) or not _is_open_file(file, marker):
        os.close(file)
        return None
    with suppress(OSError):  # a read-only cache
        os.utime(marker)
    return file


@dataclass(frozen=True)
class RowCache:
    """Where rows are kept, and how much of them.

    Attributes:
        folder: Holds a folder for each part of the data; others' files in it are left alone.
        gigabytes: How large all of them may grow together, in 10^9 bytes; what runs are using stays in any case.
    """

    folder: Path
    gigabytes: float = DEFAULT_GIGABYTES

    def make_room(self, version: str) -> None:
        """Remove what killed processes left, and folders that no run is using until the rest is small enough.

        Those of other versions go first, then the least recently used.

        Args:
            version: The version of the format of rows that this process writes.
        """
        for scratch in self.folder.glob(f"{SCRATCH}*"):
            if time.time() - _last_change(scratch) > _ABANDONED_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)
        found = _row_folders(self.folder)
        sizes = {folder: _size(folder) for folder in found}
        too_much = sum(sizes.values()) - self.gigabytes * 1e9
        for folder in sorted(found, key=lambda folder: (found[folder] == version, _last_use(folder))):
            if too_much <= 0:
                return
            too_much -= sizes[folder] * _removed(folder)


def _row_folders(folder: Path) -> dict[Path, str | None]:
    """The folders of rows and their version; those of before there were versions have none."""
    found = {}
    for each in folder.iterdir():
        fits = _FOLDER.fullmatch(each.name)
        if fits and _marker(each).is_file() and not each.is_symlink():
            found[each] = fits["version"]
    return found


def _marker(folder: Path) -> Path:
    """The file that is locked; folders of before there were versions have one of the library's alone."""
    return folder / (CONTENTS if (folder / CONTENTS).exists() else "state.json")


def _removed(folder: Path) -> bool:
    """Remove a folder unless a process uses it.

    Returns:
        Whether it is gone.
    """
    try:
        with _alone(_marker(folder)) as is_alone:
            if not is_alone:
                return False
            going = Path(tempfile.mkdtemp(dir=folder.parent, prefix=SCRATCH))
            folder.rename(going / folder.name)
    except OSError:  # another process has removed it, or it is not ours to remove
        return not folder.exists()
    shutil.rmtree(going, ignore_errors=True)
    return True


@contextmanager
def _alone(marker: Path) -> Iterator[bool]:
    file = os.open(marker, os.O_RDWR)  # some network file systems lock files that can be written alone
    try:
        yield _lock(file, alone=True) and _is_open_file(file, marker)
    finally:
        os.close(file)


def _lock(file: int, alone: bool) -> bool:
    """A lock that the kernel takes back when the process ends; where there are none, the system itself keeps files."""
    try:
        import fcntl
    except ImportError:  # Windows does not remove files that are open
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: reading needs none, and nothing is removed
        return not alone
    return True


def _is_open_file(file: int, path: Path) -> bool:
    """Whether a path still leads to a file that was opened by it."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _last_use(folder: Path) -> float:
    try:
        return _marker(folder).stat().st_mtime
    except OSError:
        return 0.0


def _last_change(folder: Path) -> float:
    times = [each.st_mtime for each in _stats(folder)]
    with suppress(OSError):
        times.append(folder.stat().st_mtime)
    return max(times, default=time.time())


def _size(folder: Path) -> int:
    return sum(each.st_size for each in _stats(folder))


def _stats(folder: Path) -> list[os.stat_result]:
    """Of all files in a folder; another process may be removing them."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found.append(Path(place, name).stat())
    return found
