"""The WebNLG Challenge 2017 set: DBpedia triples of categories that were seen in training or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dylora.data.sources.text import Corpus
from dylora.data.sources.text_files import outline, parse_json, parse_records, strings
from dylora.data.sources.text_items import Entry, linearise
from dylora.errors import InputError

SEEN = frozenset(
    {"Airport", "Astronaut", "Building", "City", "ComicsCharacter"}
    | {"Food", "Monument", "SportsTeam", "University", "WrittenWork"}
)
_SHAPE = (
    '{"entries": [{"1": {"category": ..., "modifiedtripleset": [{"subject": ..., "property": ..., "object": ...}], '
    '"lexicalisations": [{"comment": ..., "lex": ...}]}}, ...]}'
)
_FIX = "use the official WebNLG 2017 file"
# The hub's test split holds the test set three times: without texts, with them, and its unseen part again.
_HUB_TEST = "testdata_with_lex"


def corpus() -> Corpus:
    """The set."""
    return Corpus(
        name="webnlg",
        full_name="webnlg",
        files={"train": ("train.json",), "validation": ("dev.json",), "test": ("test.json",)},
        parse=parse,
        hub_name="webnlg-challenge/web_nlg",
        hub_folder="webnlg_challenge_2017",
        from_hub=_from_hub,
        most_references=6,
    )


def parse(content: bytes, path: Path) -> list[Entry]:
    """Read a JSON file of the set.

    Args:
        content: The file's bytes.
        path: The file, for messages.

    Raises:
        InputError: If it is empty, truncated, not UTF-8 or of another shape.
    """
    data = parse_json(content, path)
    if not isinstance(data, dict) or not isinstance(data.get("entries"), list) or not data["entries"]:
        raise InputError(str(path), f"JSON of the shape {_SHAPE}", outline(data), _FIX)
    return parse_records(data["entries"], _read, path, _SHAPE, _FIX)


def _read(wrapped: dict[str, Any]) -> Entry:
    (record,) = wrapped.values()
    triples = [(fact["subject"], fact["property"], fact["object"]) for fact in record["modifiedtripleset"]]
    texts = [(text["comment"], text["lex"]) for text in record["lexicalisations"]]
    return _entry(record["category"], triples, texts)


def _entry(category: str, triples: list[tuple[str, str, str]], texts: list[tuple[str, str]]) -> Entry:
    return Entry(
        source=linearise(triples),
        texts=strings(text for comment, text in texts if comment == "good"),
        tags={"category": category, "seen": "S" if category in SEEN else "U"},
        rejected=strings(text for comment, text in texts if comment != "good"),
    )


def _from_hub(row: Mapping[str, Any]) -> Entry | None:
    if row["test_category"] not in ("", _HUB_TEST):
        return None
    triples = [tuple(fact.split(" | ")) for fact in row["modified_triple_sets"]["mtriple_set"][0]]
    texts = zip(row["lex"]["comment"], row["lex"]["text"], strict=True)
    return _entry(row["category"], [(a, b, c) for a, b, c in triples], list(texts))
