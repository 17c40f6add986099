"""CSV, TSV, JSON Lines and Parquet as one kind of table, every fault told with the file and the line.

CSV and TSV are read by the standard library: their cells stay text (a reader that guesses types takes the text `NA` for
a gap and gives `01` and `1` the same class), and each row keeps its line.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dylora.data.sources.json_text import load_json
from dylora.data.sources.table import Table, check_table, refuse_twice
from dylora.data.sources.text_files import decode, split_lines
from dylora.errors import InputError


def read_table(path: Path, option: str) -> Table:
    """The rows of a file, whose type its suffix tells: `.csv`, `.tsv`, `.jsonl` or `.parquet`.

    Cells of CSV and TSV are strings; those of the others have the types that the file gives them.

    Args:
        path: The file.
        option: The option that names it, for messages.

    Raises:
        InputError: If it does not exist, its type cannot be told, it has no rows, two columns of the same name, or it
            is damaged.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        allowed = f"a file that ends in {', '.join(_READERS)}"
        raise InputError(option, allowed, repr(str(path)), "rename it by what it holds")
    if not path.is_file():
        raise InputError(option, "a file", f"{str(path)!r}, which does not exist", "check the path")
    try:
        return check_table(reader(path))
    except OSError as error:
        raise InputError(option, "a readable file", f"{path} ({error.strerror or error})", "check it") from None


def _read_csv(path: Path) -> Table:
    return _separated(path, ",")


def _read_tsv(path: Path) -> Table:
    return _separated(path, "\t")


def _separated(path: Path, separator: str) -> Table:
    """Cells between separators, quoted where they hold one, a quote or a line break (RFC 4180)."""
    lines = (f"{line}\n" for line in _text(path).split("\n"))  # a carriage return before it ends the record, too
    numbers: list[int] = []
    rows: list[list[str]] = []
    with _long_cells():
        for number, cells in _records(csv.reader(lines, delimiter=separator, strict=True), path):
            if not cells:  # an empty line
                continue
            if rows and len(cells) != len(rows[0]):
                given = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
                fix = "quote cells that hold a separator, or complete the row"
                raise InputError(f"{path}, line {number}", f"a row of {len(rows[0])} cells", given, fix)
            numbers.append(number)
            rows.append(cells)
    header = tuple(rows[0]) if rows else ()
    return Table(str(path), header, rows[1:], "line", numbers[1:])


def _records(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:  # noqa: ANN401 (csv's has no public name)
    """Each record and the line that it begins on."""
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fix = 'put a cell with a quote in it between quotes, and write each of its own quotes twice ("")'
            raise InputError(f"{path}, line {first}", "well-formed cells", str(error), fix) from None
        yield first, cells


@contextmanager
def _long_cells() -> Iterator[None]:
    """Cells of any length; the library's limit of 128 KiB is one for all its readers."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_json_lines(path: Path) -> Table:
    """An object a line; a key that a line lacks is an empty cell."""
    numbers, records = [], []
    for number, line in enumerate(split_lines(_text(path)), start=1):
        if line.strip():
            numbers.append(number)
            records.append(_object(line, f"{path}, line {number}"))
    names = tuple(dict.fromkeys(name for record in records for name in record))
    return Table(str(path), names, [[record.get(name) for name in names] for record in records], "line", numbers)


def _object(line: str, place: str) -> dict[str, Any]:
    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        refuse_twice([name for name, _ in found], place)
        return dict(found)

    try:
        value = load_json(line, pairs)
    except json.JSONDecodeError as error:
        given = f"{error.msg} at column {error.colno}"
        raise InputError(place, "a JSON object", given, "write one object a line") from None
    if not isinstance(value, dict):
        raise InputError(place, "a JSON object", f"a {type(value).__name__}", "write one object a line")
    return value


def _read_parquet(path: Path) -> Table:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    if not path.stat().st_size:
        return Table(str(path), (), [], "row", [])
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise InputError(str(path), "a Parquet file", f"a damaged one ({reason})", "write it again") from None
    columns = [column.to_pylist() for column in table.columns]
    rows = list(zip(*columns, strict=True))
    return Table(str(path), tuple(table.column_names), rows, "row", range(1, len(rows) + 1))


def _text(path: Path) -> str:
    content = path.read_bytes()
    return decode(content, path) if content.removeprefix(b"\xef\xbb\xbf").strip() else ""


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
