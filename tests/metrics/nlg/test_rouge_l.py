import math
import random
from functools import cache

import pytest

from dylora.metrics.nlg import ptb_text, rouge_l


def literal_lcs(first, second):
    @cache
    def common(i, j):
        if i == len(first) or j == len(second):
            return 0
        if first[i] == second[j]:
            return 1 + common(i + 1, j + 1)
        return max(common(i + 1, j), common(i, j + 1))

    return common(0, 0)


def test_longest_common_subsequence_equals_its_recursion():
    generator = random.Random(0)
    for _ in range(300):
        first, second = (generator.choices("abc", k=generator.randint(0, 15)) for _ in range(2))
        assert rouge_l.longest_common_subsequence(first, second) == literal_lcs(first, second)


def test_precision_and_recall_are_each_of_the_best_reference():
    # "a b c d" shares 2 of 4 words with the first reference (2 of 2), 3 of 4 with the second (3 of 6).
    score = rouge_l.item_score("a b c d", ["a b", "x a x b x c"])
    precision, recall = 3 / 4, 1.0
    assert score == pytest.approx((1 + 1.44) * precision * recall / (recall + 1.44 * precision), abs=1e-15)


def test_an_empty_hypothesis_scores_0_and_counts_in_the_mean():
    assert rouge_l.score(["", "a pub"], [["a pub"], ["A pub."]]) == 0.5


def test_score_equals_the_official_script(e2e_sample):
    score = rouge_l.score(e2e_sample["hypotheses"], e2e_sample["references"])
    assert score == pytest.approx(e2e_sample["scores"]["ROUGE_L"], abs=1e-12)


def test_score_of_every_item_equals_the_official_script(e2e_sample):
    items = [
        rouge_l.item_score(ptb_text(text), [ptb_text(reference) for reference in texts])
        for text, texts in zip(e2e_sample["hypotheses"], e2e_sample["references"], strict=True)
    ]
    assert items == pytest.approx(e2e_sample["segment_scores"]["ROUGE_L"], abs=1e-12)
    assert math.fsum(items) / len(items) == pytest.approx(e2e_sample["scores"]["ROUGE_L"], abs=1e-12)
