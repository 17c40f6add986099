"""The WebNLG Challenge 2017 set: DBpedia triples of categories that were seen in training or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dylora.data.linearise import linearise
from dylora.data.sources.text import Corpus, source_for
from dylora.data.sources.text_files import parse_json, strings
from dylora.data.table_to_text import TableToTextDataModule
from dylora.data.text_items import Entry
from dylora.errors import InputError

SEEN = frozenset(
    {"Airport", "Astronaut", "Building", "City", "ComicsCharacter"}
    | {"Food", "Monument", "SportsTeam", "University", "WrittenWork"}
)
_SHAPE = (
    '{"entries": [{"1": {"category": ..., "modifiedtripleset": [{"subject": ..., "property": ..., "object": ...}], '
    '"lexicalisations": [{"comment": ..., "lex": ...}]}}, ...]}'
)
# The hub's test split holds the test set three times: without texts, with them, and its unseen part again.
_HUB_TEST = "testdata_with_lex"


class WebNLGDataModule(TableToTextDataModule):
    """Batches of WebNLG 2017: 18,025 training pairs, 1,862 test items, 971 of seen and 891 of unseen categories.

    Texts that are marked `toFix` are left out. Items are scored against their first 6 references at most.

    Args:
        data_dir: Folder of the official files as JSON (its own or one with a folder `webnlg`); null takes the hub.
        **options: As for every table-to-text set.

    Raises:
        InputError: If a number is out of range or the folder does not exist.
    """

    def __init__(self, data_dir: str | None = None, **options: Any) -> None:  # noqa: ANN401
        super().__init__(source_for(corpus(), data_dir), **options)


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
        raise InputError(str(path), f"JSON of the shape {_SHAPE}", _outline(data), "use the official WebNLG 2017 file")
    entries = []
    for number, wrapped in enumerate(data["entries"], start=1):
        try:
            (record,) = wrapped.values()
            triples = [(fact["subject"], fact["property"], fact["object"]) for fact in record["modifiedtripleset"]]
            texts = [(text["comment"], text["lex"]) for text in record["lexicalisations"]]
            entries.append(_entry(record["category"], triples, texts))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            given = f"{_outline(wrapped)} ({type(error).__name__}: {error})"
            where = f"{path}, entry {number}"
            raise InputError(where, f"JSON of the shape {_SHAPE}", given, "use the official file") from None
    return entries


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


def _outline(value: object) -> str:
    """What a JSON value is, in a few words."""
    if isinstance(value, dict):
        return "an object with the keys " + ", ".join(list(value)[:5]) if value else "an empty object"
    return "an empty list" if value == [] else f"a {type(value).__name__}"
