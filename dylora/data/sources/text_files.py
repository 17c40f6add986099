"""Text and JSON files read whole, every fault told with the file and the line."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from dylora.data.sources.json_text import load_json
from dylora.data.sources.text_items import Entry
from dylora.errors import InputError

AGAIN = "download it again"


def find_file(folder: Path, names: Sequence[str]) -> Path:
    """The first of some files that exists.

    Args:
        folder: Where they lie.
        names: File names, best first.

    Raises:
        InputError: If there is none of them; the message lists what the folder holds.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
    fix = "put the official file there or give another --data.data_dir"
    raise InputError(str(folder / names[0]), "an existing file", f"a folder with {found}", fix)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), "a readable file", error.strerror, "check its permissions") from None


def decode(content: bytes, path: Path) -> str:
    """UTF-8 text, with or without a byte-order mark; line ends stay as they are.

    Args:
        content: The file's bytes.
        path: The file, for the message.

    Raises:
        InputError: If it is empty or no UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        given = f"the byte 0x{content[error.start]:02x}"
        raise InputError(f"{path}, line {line}", "UTF-8 text", given, f"convert the file to UTF-8 or {AGAIN}") from None
    if not text.strip():
        raise InputError(str(path), "a file with data", "an empty file", AGAIN)
    return text


def split_lines(text: str) -> list[str]:
    r"""The lines of a text; only a line feed ends one, with a carriage return before it or without.

    `str.splitlines` would also end them at U+2028, U+0085, a form feed and others, which texts may hold.

    >>> split_lines("a\u2028b\r\n\nc\n")
    ['a\u2028b', '', 'c']
    """
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def parse_json(content: bytes, path: Path) -> Any:  # noqa: ANN401
    """The value of a JSON file.

    Args:
        content: The file's bytes.
        path: The file, for the message.

    Raises:
        InputError: If it is empty, no UTF-8 or no complete JSON.
    """
    text = decode(content, path)
    try:
        return load_json(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        given = "a file that ends too early" if cut else f"{error.msg} at column {error.colno}"
        raise InputError(f"{path}, line {error.lineno}", "complete JSON", given, AGAIN) from None


def parse_records(
    records: Iterable[Any], read: Callable[[Any], Entry], path: Path, shape: str, fix: str
) -> list[Entry]:
    """One entry a record of a JSON file.

    Args:
        records: The records.
        read: Makes an entry of one.
        path: The file, for the message.
        shape: The shape that the file has to have, for the message.
        fix: What to do about a file of another shape.

    Raises:
        InputError: If a record has another shape; the message says which, counted from 1.
    """
    entries = []
    for number, record in enumerate(records, start=1):
        try:
            entries.append(read(record))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            given = f"{outline(record)} ({type(error).__name__}: {error})"
            raise InputError(f"{path}, entry {number}", f"JSON of the shape {shape}", given, fix) from None
    return entries


def outline(value: object) -> str:
    """What a JSON value is, in a few words.

    >>> outline({"data": [], "x": 1})
    'an object with the keys data, x'
    """
    if isinstance(value, dict):
        return "an object with the keys " + ", ".join(list(value)[:5]) if value else "an empty object"
    return "an empty list" if value == [] else f"a {type(value).__name__}"


def strings(values: Iterable[object]) -> tuple[str, ...]:
    """Values of a JSON file that have to be strings.

    Raises:
        TypeError: If one is not; the reader of the file says where.
    """
    found = tuple(values)
    for value in found:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no string")
    return found  # type: ignore[return-value]
