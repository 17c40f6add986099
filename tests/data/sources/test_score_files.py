"""Files to score: every form that is read, and what is refused."""

import json

import pytest

from dylora.data.sources.score_files import read_hypotheses, read_references
from dylora.errors import InputError


def _file(folder, name, content):
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def _refused(read, *arguments):
    with pytest.raises(InputError) as error:
        read(*arguments)
    return str(error.value)


def test_hypotheses_are_a_text_a_line_and_may_be_empty(tmp_path):
    assert read_hypotheses(_file(tmp_path, "h.txt", "A pub.\n\nÜber 5.\n")) == ["A pub.", "", "Über 5."]


def test_hypotheses_of_json_lines(tmp_path):
    lines = [json.dumps("A pub."), json.dumps({"index": 1, "output": "", "references": ["x"]})]
    assert read_hypotheses(_file(tmp_path, "h.jsonl", "\n".join(lines) + "\n")) == ["A pub.", ""]


def test_references_in_blocks_of_lines(tmp_path):
    items = read_references(_file(tmp_path, "r.txt", "a\nb\n\nc\n\n"), "e2e")
    assert [item.references for item in items] == [("a", "b"), ("c",)]


def test_references_one_a_line_without_blocks(tmp_path):
    items = read_references(_file(tmp_path, "r.txt", "a\nb\n"), "dart")
    assert [item.references for item in items] == [("a",), ("b",)]


def test_references_of_json_lines_of_this_project(tmp_path):
    lines = [json.dumps(["a", " ", "b"]), json.dumps({"references": ["c"], "output": "d"})]
    items = read_references(_file(tmp_path, "r.jsonl", "\n".join(lines)), "webnlg")
    assert [item.references for item in items] == [("a", "b"), ("c",)]


def test_references_of_an_official_e2e_file_in_either_form(tmp_path):
    rows = '"name[Ox], area[city centre]","Ox, a pub."\n"name[Ox], area[city centre]",B\n'
    path = _file(tmp_path, "test.csv", f"MR,ref\n{rows}")
    (item,) = read_references(path, "e2e")
    assert item.references == ("Ox, a pub.", "B")
    (item,) = read_references(path, "e2e", "respaced")
    assert item.references == ("Ox , a pub .", "B")


def test_references_of_an_official_webnlg_file_keep_the_category(tmp_path):
    record = {
        "category": "Airport",
        "modifiedtripleset": [{"subject": "a", "property": "b", "object": "c"}],
        "lexicalisations": [{"comment": "good", "lex": "A b c."}],
    }
    (item,) = read_references(_file(tmp_path, "t.json", json.dumps({"entries": [{"1": record}]})), "webnlg")
    assert (item.references, item.tags["seen"]) == (("A b c.",), "S")


# Line separators to Unicode, and to str.splitlines, that end no line of a file.
SEPARATORS = ("\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c")


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_unicode_separator_ends_no_line(tmp_path, separator):
    text = f"A{separator}pub."
    plain = _file(tmp_path, "h.txt", f"{text}\nb\n")
    assert read_hypotheses(plain) == [text, "b"]
    blocks = _file(tmp_path, "r.txt", f"{text}\nb\n\n{text}\n")
    assert [item.references for item in read_references(blocks, "e2e")] == [(text, "b"), (text,)]
    line = json.dumps({"output": text, "references": [text, "b"]}, ensure_ascii=False)
    rows = _file(tmp_path, "p.jsonl", f"{line}\n{line}\n")
    assert read_hypotheses(rows) == [text, text]
    assert [item.references for item in read_references(rows, "e2e")] == [(text, "b"), (text, "b")]


def test_lines_may_end_as_on_windows(tmp_path):
    (tmp_path / "h.txt").write_bytes(b"A pub.\r\n\r\nb\r\n")
    assert read_hypotheses(tmp_path / "h.txt") == ["A pub.", "", "b"]
    assert [item.references for item in read_references(tmp_path / "h.txt", "e2e")] == [("A pub.",), ("b",)]


def test_what_is_refused_names_the_file_and_the_line(tmp_path):
    said = _refused(read_hypotheses, _file(tmp_path, "h.jsonl", '"a"\n{"text": "b"}\n'))
    assert 'h.jsonl, line 2: must be a string, or an object with the string "output"' in said
    said = _refused(read_hypotheses, _file(tmp_path, "cut.jsonl", '"a"\n{"output": "b'))
    assert "cut.jsonl, line 2: must be JSON" in said
    said = _refused(read_references, _file(tmp_path, "r.jsonl", '{"output": "b"}'), "e2e")
    assert 'r.jsonl, line 1: must be a list of strings, or an object with the list "references"' in said
    assert "must be a file with data, got an empty file" in _refused(read_hypotheses, _file(tmp_path, "e.txt", "\n"))
    (tmp_path / "latin.txt").write_bytes("a\nCafé\n".encode("latin-1"))
    assert "latin.txt, line 2: must be UTF-8 text" in _refused(read_hypotheses, tmp_path / "latin.txt")
    assert "--references: must be a file" in _refused(read_references, tmp_path / "none.txt", "e2e")


@pytest.mark.parametrize("empty", ['{"references": []}', '{"references": ["", "  "]}', "[]", '[" "]'])
def test_an_item_without_a_reference_is_refused_by_its_line(tmp_path, empty):
    file = _file(tmp_path, "r.jsonl", f'{{"references": ["a b"]}}\n{empty}\n["c"]\n')
    said = _refused(read_references, file, "e2e")
    assert "r.jsonl, line 2: must be an item with a reference to compare with, got none; give it one" in said


def test_a_block_of_spaces_is_no_reference(tmp_path):
    said = _refused(read_references, _file(tmp_path, "r.txt", "a b\n\n  \n\nc\n"), "e2e")
    assert "r.txt, item 2: must be an item with a reference" in said
