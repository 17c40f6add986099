import math

import pytest

from dylora.metrics.nlg import nist


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Isn't it £20-25, or 4.5/5?", ["isn't", "it", "£20", "-", "25", ",", "or", "4.5", "/", "5", "?"]),
        ("Café &amp; bar.It's 1,000.", ["café", "&", "bar", ".", "it's", "1,000", "."]),
        ("well-known", ["well-known"]),
        ("", [""]),
    ],
)
def test_words_are_those_of_mteval(text, words):
    assert nist.mteval_words(text) == words


def test_score_equals_information_counted_by_hand():
    # The references have 6 words: a 2, b 2, c 1, d 1. So a and b tell log2(6/2) bits and d log2(6/1); of bigrams, "a b"
    # log2(2/2) and "b d" log2(2/1); "a b d" log2(2/1). The average reference length is 3, so there is no penalty.
    expected = (2 * math.log2(3) + math.log2(6)) / 3 + (0 + 1) / 2 + 1 / 1
    assert nist.score(["a b d"], [["a b c", "a b d"]]) == pytest.approx(expected, abs=1e-12)


def test_length_penalty_is_one_half_at_two_thirds_of_the_length():
    assert nist.score(["a b"], [["a b c"]]) == pytest.approx(0.5 * (2 * math.log2(3)) / 2, abs=1e-12)


def test_hypotheses_too_short_for_any_bigram_are_scored():
    assert nist.score(["", "a"], [["a b"], ["a b"]]) > 0
    assert nist.score([""], [["a b"]]) == 0.0


def test_score_equals_the_official_script(e2e_sample):
    score = nist.score(e2e_sample["hypotheses"], e2e_sample["references"])
    assert score == pytest.approx(e2e_sample["scores"]["NIST"], abs=1e-12)
