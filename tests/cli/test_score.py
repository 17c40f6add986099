"""`score`: the official scores of two files."""

import json
import subprocess
import sys

import pytest

from dylora.callbacks.predictions import write_json_lines
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


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0b"])
def test_what_dylora_wrote_is_scored_whatever_separators_the_texts_hold(separator, tmp_path, capsys):
    texts = [f"The Ox is a cheap{separator}pub by the river.", "Alimentum serves Indian food in the city centre."]
    file = tmp_path / "rank_1.jsonl"
    write_json_lines(file, [{"output": text, "references": [text]} for text in texts])
    main(["score", "--set", "dart", "--hypotheses", str(file), "--references", str(file)])
    heading, scores = _scores(capsys)
    assert heading == "dart: 2 items, 2 references"
    assert (scores["bleu"], scores["ter_tercom"]) == ("1.000000", "0.000000")


def test_no_training_library_is_loaded_for_it(write):
    files = f"{str(write('h.txt', ['a pub']))!r}, '--references', {str(write('r.txt', ['a pub']))!r}"
    program = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'pycocoevalcap' else find(name, *a)\n"
        f"from dylora.cli import main; main(['score', '--set', 'e2e', '--hypotheses', {files}])\n"
        "print(sorted({'torch', 'lightning', 'transformers', 'datasets', 'torchmetrics'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_files_of_different_length_are_refused(write, refused):
    files = "--hypotheses", write("h.txt", ["a"]), "--references", write("r.txt", ["a", "", "b"])
    line = refused("score", "--set", "e2e", *files)
    assert "--hypotheses: must be one text an item, got 1 in" in line
    assert "for 2 items in" in line


def test_an_unknown_set_is_refused(write, refused):
    files = "--hypotheses", write("h.txt", ["a"]), "--references", write("r.txt", ["a"])
    assert "--set: must be one of e2e, webnlg, dart, got xsum" in refused("score", "--set", "xsum", *files)
