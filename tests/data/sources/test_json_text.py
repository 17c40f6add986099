"""JSON that Python's reader gives up on, or takes though no text can hold it."""

import json

import pytest

from dylora.data.sources import dart, webnlg
from dylora.data.sources.json_text import load_json
from dylora.data.sources.table_files import read_table
from dylora.data.sources.text import FolderSource
from dylora.errors import InputError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "Nested too deeply"),
        ("9" * 5000, "A number of too many digits"),
        ('["\\ud800"]', "Half of a pair of surrogates"),
        ('{"\\udfff": 1}', "Half of a pair of surrogates"),
        ("{", "Expecting property name"),
    ],
)
def test_what_is_an_error_in_it(text, words):
    with pytest.raises(json.JSONDecodeError, match=words):
        load_json(text)


def test_what_is_none():
    assert load_json('{"a": ["\\ud83d\\ude00", 1e5]}') == {"a": ["\U0001f600", 1e5]}


@pytest.mark.parametrize("line", ["[" * 100_000, '{"text": "\\ud800"}', '{"text": ' + "9" * 5000 + "}"])
def test_tables_tell_the_line(tmp_path, line):
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n' + line)
    with pytest.raises(InputError, match=r"t.jsonl, line 2: must be a JSON object, got "):
        read_table(tmp_path / "t.jsonl", "--data.train")


def test_a_training_file_without_any_text_to_learn_from(tmp_path):
    triple = {"subject": "A", "property": "b", "object": "C"}
    entry = {"category": "City", "modifiedtripleset": [triple], "lexicalisations": [{"comment": "bad", "lex": "x"}]}
    (tmp_path / "train.json").write_text(json.dumps({"entries": [{"1": entry}]}))
    with pytest.raises(InputError, match=r"train.json: must be entries with texts to learn from, got 1 entr"):
        FolderSource(webnlg.corpus(), tmp_path).entries("train")
    name = dart.corpus().files["train"][0]
    (tmp_path / name).write_text(json.dumps([{"tripleset": [["A", "B", "C"]], "annotations": []}]))
    with pytest.raises(InputError, match=r"train.json: must be entries with texts to learn from, got 1 entr"):
        FolderSource(dart.corpus(), tmp_path).entries("train")
