"""`score`: the official scores of two files."""

import json

import pytest

from dylora.cli import main


@pytest.fixture
def write(tmp_path):
    def write(name, lines):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / name

    return write


def _scores(capsys):
    lines = capsys.readouterr().out.splitlines()
    return lines[0], {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[1:] if line.split()[0].islower()}


def test_a_perfect_text_has_the_largest_scores(write, capsys):
    texts = ["The Ox is a cheap pub by the river.", "Alimentum serves Indian food in the city centre."]
    hypotheses, references = write("h.txt", texts), write("r.txt", texts)
    main(["score", "--set", "e2e", "--hypotheses", str(hypotheses), "--references", str(references)])
    heading, scores = _scores(capsys)
    assert heading == "e2e: 2 items, 2 references"
    assert scores["bleu"] == scores["rouge_l"] == "1.000000"
    assert scores["cider"] == "10.000000"


def test_ter_counts_the_edits_of_a_text(write, capsys):
    hypotheses = write("h.jsonl", [json.dumps({"output": "a b c x"})])
    references = write("r.jsonl", [json.dumps(["a b c d"])])
    main(["score", "--set", "dart", "--hypotheses", str(hypotheses), "--references", str(references)])
    assert _scores(capsys)[1]["ter_tercom"] == "0.250000"  # one substitution of four words


def test_files_of_different_length_are_refused(write, refused):
    files = "--hypotheses", write("h.txt", ["a"]), "--references", write("r.txt", ["a", "", "b"])
    line = refused("score", "--set", "e2e", *files)
    assert "--hypotheses: must be one text an item, got 1 in" in line
    assert "for 2 items in" in line


def test_an_unknown_set_is_refused(write, refused):
    files = "--hypotheses", write("h.txt", ["a"]), "--references", write("r.txt", ["a"])
    assert "'e2e', 'webnlg', 'dart'" in refused("score", "--set", "xsum", *files)
