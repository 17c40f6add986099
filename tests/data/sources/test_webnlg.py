"""The WebNLG set."""

import json
from collections import Counter
from pathlib import Path

import pytest
import real_text

from dylora.data import WebNLGDataModule
from dylora.data.sources import webnlg
from dylora.data.sources.text import source_for
from dylora.data.sources.text_items import Entry, group, pairs
from dylora.data.sources.webnlg import parse
from dylora.errors import InputError

PATH = Path("dev.json")


def record(category="Airport", texts=(("good", "It is."),), triples=(("A_b", "is", "C"),)):
    facts = [{"subject": a, "property": b, "object": c} for a, b, c in triples]
    lexicalisations = [{"comment": comment, "lang": "", "lex": text, "xml_id": "Id1"} for comment, text in texts]
    return {"category": category, "size": "1", "modifiedtripleset": facts, "lexicalisations": lexicalisations}


def file_of(*records):
    return json.dumps({"entries": [{str(place): entry} for place, entry in enumerate(records, 1)]}).encode()


def test_triples_keep_their_spelling():
    triples = [("Abilene_Regional_Airport", "cityServed", "Abilene,_Texas"), ("Abilene,_Texas", "isPartOf", '"T C"')]
    (entry,) = parse(file_of(record(triples=triples)), PATH)
    assert entry.source == 'Abilene_Regional_Airport : cityServed : Abilene,_Texas | Abilene,_Texas : isPartOf : "T C"'


def test_texts_to_fix_are_rejected():
    (entry,) = parse(file_of(record(texts=[("good", "a"), ("toFix", "b"), ("good", "c")])), PATH)
    assert (entry.texts, entry.rejected) == (("a", "c"), ("b",))


def test_tags_tell_seen_from_unseen_categories():
    entries = parse(file_of(record("City"), record("Artist")), PATH)
    assert [entry.tags for entry in entries] == [
        {"category": "City", "seen": "S"},
        {"category": "Artist", "seen": "U"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2]", r"^dev.json: must be JSON of the shape \{.*\}, got a list; use the official WebNLG 2017 file$"),
        (b'{"entries": []}', r"^dev.json: .* got an object with the keys entries; use"),
        (b'{"data": [], "x": 1}', r"^dev.json: .* got an object with the keys data, x; use"),
        (file_of(record(), {"category": "City"}), r"^dev.json, entry 2: .*'modifiedtripleset'\); use the official"),
        (file_of(record(), record(texts=[("good", None)])), r"^dev.json, entry 2: .*None is no string\); use"),
        (
            b'{"entries": [{"1": 3}]}',
            r"^dev.json, entry 1: must be JSON of the shape .*; use the official WebNLG 2017 file$",
        ),
        (b'{"entries": ["a"]}', r"^dev.json, entry 1: must be JSON of the shape .* got a str "),
        (b'{"entries": [{"1": {}, "2": {}}]}', r"^dev.json, entry 1: must be JSON of the shape .* keys 1, 2 "),
        (b'{"entries": [{"1": {"cate', r"^dev.json, line 1: must be complete JSON, got a file that ends too early;"),
    ],
)
def test_broken_files_are_told_in_one_line(content, message):
    with pytest.raises(InputError, match=message) as caught:
        parse(content, PATH)
    assert "\n" not in str(caught.value)


def test_a_row_of_the_hub_is_read_as_one_of_the_file():
    row = {
        "category": "Artist",
        "test_category": "testdata_with_lex",
        "modified_triple_sets": {"mtriple_set": [["A_b | is | C", "C | has | D, E"]]},
        "lex": {"comment": ["good", "toFix"], "text": ["a", "b"], "lid": ["Id1", "Id2"], "lang": ["", ""]},
    }
    expected = Entry("A_b : is : C | C : has : D, E", ("a",), {"category": "Artist", "seen": "U"}, ("b",))
    assert webnlg.corpus().from_hub(row) == expected
    assert webnlg.corpus().from_hub({**row, "test_category": ""}) == expected


@pytest.mark.parametrize("category", ["testdata_no_lex", "testdata_unseen_with_lex"])
def test_the_hubs_second_and_third_copy_of_the_test_set_are_left_out(category):
    assert webnlg.corpus().from_hub({"test_category": category}) is None


def test_names(tmp_path):
    module = WebNLGDataModule(data_dir=str(tmp_path))
    assert (module.set_name, module.name) == ("webnlg", "webnlg")


def test_counts_of_the_real_files():
    source = source_for(webnlg.corpus(), str(real_text.nlg_data()))
    splits = {split: source.entries(split) for split in ("train", "validation", "test")}
    assert {split: len(entries) for split, entries in splits.items()} == {
        "train": 6940,
        "validation": 872,
        "test": 1862,
    }
    good = {split: len(pairs(entries)) for split, entries in splits.items()}
    assert good == {"train": 18025, "validation": 2258, "test": 4928}
    rejected = {split: sum(len(entry.rejected) for entry in entries) for split, entries in splits.items()}
    assert rejected == {"train": 77, "validation": 10, "test": 0}
    items = group(splits["test"], 6)
    assert len(items) == 1862
    assert Counter(item.tags["seen"] for item in items) == {"S": 971, "U": 891}
    assert sum(len(item.references) for item in group(splits["test"])) == 4928
    # Two prompts have more than six references, seven and eight.
    assert sum(len(item.references) for item in items) == 4925
    assert {item.tags["category"] for entries in splits.values() for item in entries if item.tags["seen"] == "S"} == (
        webnlg.SEEN
    )


def test_records_of_the_lora_code_base():
    golden = real_text.linearisation()["webnlg"]["items"]
    assert golden
    for item in golden:
        (entry,) = parse(file_of(item["input"]), PATH)
        assert pairs([entry]) == [(pair["context"], pair["completion"]) for pair in item["pairs"]]
        assert all((entry.tags["seen"] == "S") == pair["seen_category"] for pair in item["pairs"])
