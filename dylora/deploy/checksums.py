"""`SHA256SUMS` of an exported folder, in the form that `sha256sum --check` reads."""

import hashlib
import re
from pathlib import Path

from dylora.errors import InputError
from dylora.whole_files import write_whole

SUMS = "SHA256SUMS"
_NOT_COUNTED = (SUMS, "README.md")  # a card may be edited
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_sums(folder: Path) -> None:
    """Write the checksums of all files of a folder but its card."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in _NOT_COUNTED)
    write_whole(folder / SUMS, "".join(f"{_of_file(folder / name)}  {name}\n" for name in names))


def check_sums(folder: Path) -> None:
    """Compare the files of a folder with its checksums, if it has any; files that they do not list do not count.

    Raises:
        InputError: If a file is missing or has changed.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return
    for line in filter(None, lines):
        found = _LINE.fullmatch(line)
        if found is None or "/" in found[2] or "\\" in found[2]:
            raise _changed(folder / SUMS, "one with other lines")
        path = folder / found[2]
        if not path.is_file() or _of_file(path) != found[1]:
            raise _changed(path, "one that changed after it was written" if path.is_file() else "none")


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed(path: Path, given: str) -> InputError:
    return InputError(
        str(path), f"the file that {SUMS} lists", given, f"copy the folder again; delete {SUMS} if you mean it"
    )
