"""DART: triples from tables, WebNLG and E2E with texts from several sources, version 1.1.1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dylora.data.sources.text import Corpus
from dylora.data.sources.text_files import outline, parse_json, parse_records, strings
from dylora.data.sources.text_items import Entry, linearise
from dylora.errors import InputError

_SHAPE = '[{"tripleset": [[subject, predicate, object], ...], "annotations": [{"text": ...}, ...]}, ...]'
_FIX = "use the official DART file"


def corpus() -> Corpus:
    """The set."""
    return Corpus(
        name="dart",
        full_name="dart",
        files={
            "train": ("dart-v1.1.1-full-train.json",),
            "validation": ("dart-v1.1.1-full-dev.json",),
            "test": ("dart-v1.1.1-full-test.json",),
        },
        parse=parse,
        hub_name="GEM/dart",
        hub_folder="default",
        from_hub=_from_hub,
        most_references=6,
    )


def parse(content: bytes, path: Path) -> list[Entry]:
    """Read an official JSON file; `subtree_was_extended`, which not every entry has, is not needed.

    Args:
        content: The file's bytes.
        path: The file, for messages.

    Raises:
        InputError: If it is empty, truncated, not UTF-8 or of another shape.
    """
    data = parse_json(content, path)
    if not isinstance(data, list) or not data:
        raise InputError(str(path), f"JSON of the shape {_SHAPE}", outline(data), _FIX)
    return parse_records(data, _read, path, _SHAPE, _FIX)


def _read(record: dict[str, Any]) -> Entry:
    return _entry(record["tripleset"], [note["text"] for note in record["annotations"]])


def _entry(triples: list[list[str]], texts: list[str]) -> Entry:
    """Relations are written in lower case, as in the LoRA code base."""
    return Entry(linearise((first, relation.lower(), last) for first, relation, last in triples), strings(texts))


def _from_hub(row: Mapping[str, Any]) -> Entry:
    """A training row has its text as `target`, the others theirs as `references`."""
    return _entry(row["tripleset"], list(row["references"] or [row["target"]]))
