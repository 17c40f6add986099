"""The DART set."""

import json
from pathlib import Path

import pytest
import real_text

from dylora.data import DARTDataModule
from dylora.data.sources import dart
from dylora.data.sources.dart import parse
from dylora.data.sources.text import source_for
from dylora.data.sources.text_items import Entry, group, pairs
from dylora.errors import InputError

PATH = Path("dart-v1.1.1-full-dev.json")


def record(triples=(("Mars Hill", "JOINED_IN", "1973"),), texts=("It joined.",), **more):
    return {"tripleset": triples, "annotations": [{"source": "x", "text": text} for text in texts], **more}


def file_of(*records):
    return json.dumps(records, indent=2).replace("\n", "\r\n").encode()


def test_relations_are_written_in_lower_case():
    (entry,) = parse(file_of(record([("A B", "HOME_TEAM", "C"), ("C", "eatType", "D E")])), PATH)
    assert entry == Entry("A B : home_team : C | C : eattype : D E", ("It joined.",))


def test_subtree_was_extended_may_be_missing():
    assert parse(file_of(record(), record(subtree_was_extended=True)), PATH) == parse(file_of(record(), record()), PATH)


def test_an_empty_text_is_read():
    (entry,) = parse(file_of(record(texts=["a", ""])), PATH)
    assert entry.texts == ("a", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", r": must be JSON of the shape .*, got an empty object; use the official DART file$"),
        (b"[]", r": must be JSON of the shape .*, got an empty list; use the official DART file$"),
        (file_of(record(), {"tripleset": []}), r", entry 2: must be .* \(KeyError: 'annotations'\); use the official"),
        (file_of(record([("a", "b")])), r", entry 1: must be JSON of the shape .* \(ValueError: not enough values"),
        (file_of(record([("a", "b", 3)])), r", entry 1: must be JSON of the shape .* \(TypeError"),
        (file_of(record(texts=[None])), r", entry 1: must be JSON of the shape .* \(TypeError: None is no string"),
        (b"[3]", r", entry 1: must be JSON of the shape .* \(TypeError"),
        (b'[{"tripleset": [["a', r", line 1: must be complete JSON, got a file that ends too early;"),
    ],
)
def test_broken_files_are_told_in_one_line(content, message):
    with pytest.raises(InputError, match=r"^dart-v1\.1\.1-full-dev\.json" + message) as caught:
        parse(content, PATH)
    assert "\n" not in str(caught.value)


def test_rows_of_the_hub_are_read_as_those_of_the_file():
    triples = [["Mars Hill", "JOINED_IN", "1973"]]
    from_hub = dart.corpus().from_hub
    assert from_hub({"tripleset": triples, "target": "a", "references": []}) == Entry(
        "Mars Hill : joined_in : 1973", ("a",)
    )
    assert from_hub({"tripleset": triples, "target": "a", "references": ["a", "b"]}) == Entry(
        "Mars Hill : joined_in : 1973", ("a", "b")
    )


def test_names(tmp_path):
    module = DARTDataModule(data_dir=str(tmp_path))
    assert (module.set_name, module.name) == ("dart", "dart")


def test_counts_of_the_real_files():
    source = source_for(dart.corpus(), str(real_text.nlg_data()))
    splits = {split: source.entries(split) for split in ("validation", "test")}
    assert {split: len(entries) for split, entries in splits.items()} == {"validation": 2768, "test": 5097}
    assert {split: len(pairs(entries)) for split, entries in splits.items()} == {"validation": 6980, "test": 12552}
    items = group(splits["test"], 6)
    assert len(items) == 4159
    assert max(len(item.references) for item in items) == 6
    assert max(len(item.references) for item in group(splits["test"])) == 35
    # 11,976 are left by the cut to six, and one of them is empty.
    assert sum(len(item.references) for item in items) == 11975
    assert all(item.references for item in items)


def test_records_of_the_lora_code_base():
    golden = real_text.linearisation()["dart"]["items"]
    assert golden
    for item in golden:
        assert pairs(parse(file_of(item["input"]), PATH)) == [
            (pair["context"], pair["completion"]) for pair in item["pairs"]
        ]
