import pytest

from dylora.metrics.nlg import ter_pyter
from dylora.metrics.nlg.postprocess import evaluation_text

HYPOTHESIS = "THIS WEEK THE SAUDIS denied information published in the new york times"
REFERENCE = "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times"


def test_pair_score_equals_the_example_of_the_paper_on_ter():
    # One shift ("THIS WEEK"), two substitutions and one insertion for 13 words.
    assert ter_pyter.pair_score(HYPOTHESIS.split(), REFERENCE.split()) == pytest.approx(4 / 13, abs=1e-15)


def test_a_run_moves_to_the_place_that_it_has_in_the_reference():
    # "c d" to places 0 and 1 repairs all; pyter looks up places in the reference, not in the alignment.
    assert ter_pyter.pair_score(list("abcd"), list("cdab")) == 1 / 4


def test_the_best_reference_counts_and_an_empty_one_counts_1():
    assert ter_pyter.item_score("a b", ["x y", "a b c d"]) == 1 / 2
    assert ter_pyter.item_score("a b", [""]) == 1.0


def test_an_empty_hypothesis_misses_every_word():
    assert ter_pyter.score(["", "a b"], [["a b c"], ["a b"]]) == 0.5


def test_more_words_than_the_reference_score_over_1():
    assert ter_pyter.pair_score("a b c d".split(), ["x"]) == 4.0


def test_score_equals_eval_py(table_sample):
    hypotheses = [evaluation_text(text) for text in table_sample["hypotheses"]]
    references = [[evaluation_text(text) for text in texts[:6]] for texts in table_sample["references"]]
    assert ter_pyter.score(hypotheses, references) == pytest.approx(table_sample["scores"]["TER"], abs=1e-12)
    items = [ter_pyter.item_score(text, texts) for text, texts in zip(hypotheses, references, strict=True)]
    assert items == pytest.approx(table_sample["segment_ter_pyter_min_over_references"], abs=1e-12)
