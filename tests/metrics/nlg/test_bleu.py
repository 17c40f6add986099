import math

import pytest

from dylora.metrics.nlg import bleu
from dylora.metrics.nlg.postprocess import lower_and_space


def test_score_equals_hand_counted_bleu():
    # 1-grams 5 of 6, 2-grams 3 of 5, 3-grams 2 of 4, 4-grams 1 of 3; 6 words against the closer reference's 7.
    hypotheses, references = ["the pub is near the mill"], [["the pub is near a big mill", "a pub"]]
    expected = math.exp(1 - 7 / 6) * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert bleu.score(hypotheses, references) == pytest.approx(expected, abs=1e-15)


def test_of_equally_close_references_the_shorter_sets_the_brevity_penalty():
    hypotheses, references = ["a b c d e"], [["a b c d e f g", "a b c"]]
    assert bleu.score(hypotheses, references) == pytest.approx(1.0, abs=1e-15)


def test_a_missing_reference_is_not_an_empty_one():
    hypotheses = ["a b c d", "a b c d"]
    references = [["a b c d e f g h i j"], ["a b c d", "x"]]
    # The closest lengths are 10 and 4. With an empty reference for the first item it would be 0 and 4.
    assert bleu.score(hypotheses, references) == pytest.approx(math.exp(1 - 14 / 8), abs=1e-15)


def test_case_and_html_entities_do_not_count():
    assert bleu.score(["The PUB &amp; the mill"], [["the pub & The Mill"]]) == pytest.approx(1.0, abs=1e-15)


def test_without_a_common_4_gram_bleu_is_0_but_in_the_e2e_script():
    hypotheses, references = ["a b c x"], [["a b c y"]]
    assert bleu.score(hypotheses, references) == 0.0
    expected = (3 / 4 * 2 / 3 * 1 / 2 * 1e-15 / 1) ** 0.25
    assert bleu.e2e_score(hypotheses, references) == pytest.approx(expected, rel=1e-12)


def test_e2e_script_takes_ngrams_off_for_short_hypotheses_and_counts_a_word_in_empty_ones():
    hypotheses, references = ["a b c d e f", "a", ""], [["a b c d e f"], ["a"], ["b"]]
    # Words 6 + 1 + 1; totals 8, 8 - 3, 8 - 6, 8 - 9 (taken as 1e-9); hits 7, 5, 4, 3.
    expected = (7 / 8 * 5 / 5 * 4 / 2 * 3 / 1e-9) ** 0.25
    assert bleu.e2e_score(hypotheses, references) == pytest.approx(expected, rel=1e-12)


def test_multi_bleu_takes_an_empty_line_as_the_closest_reference_of_a_short_hypothesis():
    hypotheses = ["a b c d", "e f g h"]
    references = [["a b c d e f g h i j"], ["e f g h"]]
    # Lengths: 4 is closer to 0 (an empty line) than to 10.
    assert bleu.multi_bleu_score(hypotheses, references) == pytest.approx(1.0, abs=1e-15)
    assert bleu.multi_bleu_score(hypotheses, references, reference_files=1) == pytest.approx(math.exp(1 - 14 / 8))


def test_multi_bleu_reads_no_more_references_than_there_are_files():
    assert bleu.multi_bleu_score(["a b c d"], [["x", "y", "z", "a b c d"]]) == 0.0


def test_e2e_score_equals_the_official_script(e2e_sample):
    hypotheses, references, scores = e2e_sample["hypotheses"], e2e_sample["references"], e2e_sample["scores"]
    assert bleu.e2e_score(hypotheses, references) == pytest.approx(scores["BLEU"], abs=1e-12)


def test_score_equals_the_four_decimals_of_mteval(e2e_sample):
    hypotheses, references, scores = e2e_sample["hypotheses"], e2e_sample["references"], e2e_sample["scores"]
    assert round(bleu.score(hypotheses, references), 4) == scores["BLEU_perl_mteval_v13a"]


def test_score_equals_eval_py_on_dart_and_webnlg(table_sample):
    hypotheses = [lower_and_space(text) for text in table_sample["hypotheses"]]
    references = [[lower_and_space(text) for text in texts[:6]] for texts in table_sample["references"]]
    assert bleu.score(hypotheses, references) == pytest.approx(table_sample["scores"]["BLEU_NLTK"], abs=1e-12)
    assert round(100 * bleu.score(hypotheses, references), 6) == table_sample["scores"]["BLEU"]


def test_multi_bleu_equals_the_perl_script(upstream_sample):
    score = bleu.multi_bleu_score(upstream_sample["hypotheses"], upstream_sample["references"])
    assert round(100 * score, 6) == upstream_sample["scores"]["BLEU_multi_bleu_perl"]
