import random
from itertools import zip_longest

import pytest
from sacrebleu.metrics.ter import TER

from dylora.metrics.nlg import ter_tercom


def test_one_shift_is_one_edit_however_long():
    assert ter_tercom.pair_edits(list("defabc"), list("abcdef")) == 1


def test_the_best_shift_is_taken_first():
    # The example of the paper on TER: one shift, two substitutions, one insertion.
    hypothesis = "THIS WEEK THE SAUDIS denied information published in the new york times"
    reference = "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times"
    assert ter_tercom.pair_edits(hypothesis.split(), reference.split()) == 4


def test_edits_are_of_the_best_reference_and_lengths_are_averaged():
    # 1 edit against the second reference; (4 + 2) / 2 and 3 words.
    score = ter_tercom.score(["a b c", "X y z"], [["p q r s", "a b"], ["x Y z"]])
    assert score == 1 / (3 + 3)


def test_an_empty_hypothesis_misses_every_word():
    assert ter_tercom.score(["", "a b"], [["a b"], ["a b"]]) == 2 / 4


def test_empty_references_are_scored():
    assert ter_tercom.score(["a"], [[""]]) == 1.0
    assert ter_tercom.score([""], [[""]]) == 0.0


@pytest.mark.parametrize(
    ("letters", "longest", "texts"), [("abcd", 9, 150), ("abcdefgh", 20, 60), ("abcdefghijklmno", 35, 8)]
)
def test_edits_equal_those_of_sacrebleu(letters, longest, texts):
    generator = random.Random(longest)

    def text():
        return " ".join(generator.choices(letters, k=generator.randint(1, longest)))

    hypotheses = [text() for _ in range(texts)]
    references = [[text() for _ in range(generator.randint(1, 3))] for _ in range(texts)]
    expected = TER().corpus_score(hypotheses, list(zip_longest(*references)))
    assert ter_tercom.score(hypotheses, references) == pytest.approx(
        expected.num_edits / expected.ref_length, abs=1e-12
    )


def test_score_equals_tercom(upstream_sample):
    references = [texts[:3] for texts in upstream_sample["references"]]
    score = ter_tercom.score(upstream_sample["hypotheses"], references)
    assert score == pytest.approx(upstream_sample["scores"]["TER_tercom_7.25"], abs=1e-12)
