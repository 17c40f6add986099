"""DART: triples from tables, WebNLG and E2E with texts from several sources, version 1.1.1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dylora.data.linearise import linearise
from dylora.data.sources.text import Corpus, source_for
from dylora.data.sources.text_files import parse_json, strings
from dylora.data.table_to_text import TableToTextDataModule
from dylora.data.text_items import Entry
from dylora.errors import InputError

_SHAPE = '[{"tripleset": [[subject, predicate, object], ...], "annotations": [{"text": ...}, ...]}, ...]'


class DARTDataModule(TableToTextDataModule):
    """Batches of DART v1.1.1: 62,659 training pairs, 4,159 test items, scored against their first 6 references at most.

    Args:
        data_dir: Folder of the official JSON files (its own or one with a folder `dart`); null takes the hub.
        **options: As for every table-to-text set.

    Raises:
        InputError: If a number is out of range or the folder does not exist.
    """

    def __init__(self, data_dir: str | None = None, **options: Any) -> None:  # noqa: ANN401
        super().__init__(source_for(corpus(), data_dir), **options)


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
        given = "an empty list" if data == [] else f"a {type(data).__name__}"
        raise InputError(str(path), f"JSON of the shape {_SHAPE}", given, "use the official DART file")
    entries = []
    for number, record in enumerate(data, start=1):
        try:
            entries.append(_entry(record["tripleset"], [note["text"] for note in record["annotations"]]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            given = f"an entry that gives {type(error).__name__}: {error}"
            where = f"{path}, entry {number}"
            raise InputError(where, f"JSON of the shape {_SHAPE}", given, "use the official DART file") from None
    return entries


def _entry(triples: list[list[str]], texts: list[str]) -> Entry:
    """Relations are written in lower case, as in the LoRA code base."""
    return Entry(linearise((first, relation.lower(), last) for first, relation, last in triples), strings(texts))


def _from_hub(row: Mapping[str, Any]) -> Entry:
    """A training row has its text as `target`, the others theirs as `references`."""
    return _entry(row["tripleset"], list(row["references"] or [row["target"]]))
