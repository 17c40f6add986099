"""The E2E NLG Challenge set: restaurants described by slots, in two forms that are never mixed."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dylora.data.sources.respace import respace
from dylora.data.sources.text import Corpus
from dylora.data.sources.text_files import AGAIN, decode
from dylora.data.sources.text_items import Entry, linearise
from dylora.errors import InputError

Form = Literal["official", "respaced"]

_SLOT = re.compile(r"([^\[\],]+)\[([^\]]*)\](?:,\s*|$)")
_LINE_BREAK = re.compile(r"\s*[\r\n]+\s*")
_RESPACED_KEYS = {"eatType": "Type", "priceRange": "price", "familyFriendly": "family friendly"}
_COLUMNS = ("mr", "ref")


def corpus(form: Form) -> Corpus:
    """The set in one of its forms.

    Args:
        form: `official` or `respaced`.

    Raises:
        InputError: If the form is neither.
    """
    if form not in ("official", "respaced"):
        raise InputError("data.form", "official or respaced", repr(form), "choose one of the two")
    return Corpus(
        name="e2e",
        full_name=f"e2e-{form}",
        files={
            "train": ("trainset.csv",),
            "validation": ("devset.csv",),
            "test": ("testset_w_refs.csv", "testset.csv"),
        },
        parse=partial(parse, form=form),
        hub_name="tuetschek/e2e_nlg",
        hub_folder="default",
        from_hub=partial(_from_hub, form=form),
    )


def parse(content: bytes, path: Path, form: Form) -> list[Entry]:
    """Read an official CSV file.

    Args:
        content: The file's bytes.
        path: The file, for messages.
        form: Form of the entries.

    Raises:
        InputError: If it is empty, truncated, not UTF-8 or has other columns.
    """
    rows = _rows(decode(content, path), path)
    header = tuple(name.strip().lower() for name in next(rows)[1])
    if header not in (_COLUMNS, _COLUMNS[:1]):
        allowed = "a header with the columns mr and ref (mr alone for a test set without references)"
        raise InputError(f"{path}, line 1", allowed, ", ".join(header), "use the official E2E file")
    entries = []
    for line, row in rows:
        slots = read_slots(row[0]) if len(row) == len(header) else None
        if slots is None:
            allowed = f"{len(header)} cell{'s' * (len(header) > 1)} and a complete record such as name[...], food[...]"
            raise InputError(
                f"{path}, line {line}", allowed, repr(",".join(row)[-60:]), f"the line is cut off: {AGAIN}"
            )
        entries.append(_entry(slots, row[1:], form))
    if not entries:
        raise InputError(str(path), "a file with data rows", "a header alone", AGAIN)
    return entries


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The last line number (from 1) and the cells of every row; a quoted cell may go over several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        given = f"a file that ends too early ({error})"
        raise InputError(f"{path}, line {reader.line_num}", "CSV with closed quotes", given, AGAIN) from None


def read_slots(record: str) -> list[tuple[str, str]] | None:
    """The (slot, value) pairs of a meaning representation; None if it is not complete.

    >>> read_slots("name[Blue Spice], priceRange[£20-25]")
    [('name', 'Blue Spice'), ('priceRange', '£20-25')]
    >>> read_slots("name[Blue Spice], priceRa")
    """
    found = list(_SLOT.finditer(record.strip()))
    is_whole = bool(found) and "".join(match.group() for match in found) == record.strip()
    return [(match[1].strip(), match[2]) for match in found] if is_whole else None


def _entry(slots: list[tuple[str, str]], texts: list[str], form: Form) -> Entry:
    # A line break would be read as the end of the text when it is generated.
    texts = [_LINE_BREAK.sub(" ", text.strip()) for text in texts]
    if form == "respaced":
        slots = [(_RESPACED_KEYS.get(key, key), respace(value)) for key, value in slots]
        texts = [respace(text) for text in texts]
    return Entry(linearise(slots), tuple(texts))


def _from_hub(row: Mapping[str, Any], form: Form) -> Entry:
    slots = read_slots(row["meaning_representation"])
    if slots is None:
        raise ValueError(row["meaning_representation"])
    return _entry(slots, [row["human_reference"]], form)
