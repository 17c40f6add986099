import math

import pytest

from dylora.metrics.nlg import cider, ptb_tokens


def literal_cider(hypotheses, references):
    """The definition, n-gram by n-gram: mean over n and references of clipped tf-idf cosine times length penalty."""

    def count(text, ngram):
        words = ptb_tokens(text)
        return sum(words[i : i + len(ngram)] == ngram for i in range(len(words)))

    def weight(text, ngram):
        documents = sum(any(count(reference, ngram) for reference in texts) for texts in references)
        return count(text, ngram) * math.log(len(references) / max(documents, 1))

    def grams(text, n):
        words = ptb_tokens(text)
        return {words[i : i + n] for i in range(len(words) - n + 1)}

    def cosine(text, reference, n):
        norms = [math.hypot(*(weight(one, ngram) for ngram in grams(one, n))) for one in (text, reference)]
        common = grams(text, n) & grams(reference, n)
        products = (min(weight(text, g), weight(reference, g)) * weight(reference, g) for g in common)
        return sum(products) / math.prod(norms) if math.prod(norms) else 0.0

    def length(text):
        return max(len(ptb_tokens(text)) - 1, 0)

    def item(text, texts):
        values = [
            cosine(text, reference, n) * math.exp(-((length(text) - length(reference)) ** 2) / 72) / 4
            for reference in texts
            for n in (1, 2, 3, 4)
        ]
        return 10 * sum(values) / len(texts)

    return [item(text, texts) for text, texts in zip(hypotheses, references, strict=True)]


def test_items_equal_the_definition(pubs):
    expected = literal_cider(*pubs)
    assert expected[1] == 0.0  # the empty hypothesis
    assert min(expected[0], expected[2], expected[4]) > 0.1
    assert cider.item_scores(*pubs) == pytest.approx(expected, abs=1e-12)


def test_score_is_the_mean_of_the_items(pubs):
    assert cider.score(*pubs) == pytest.approx(sum(cider.item_scores(*pubs)) / 5, abs=1e-12)


def test_a_set_of_one_item_scores_0():
    assert cider.score(["a pub"], [["a pub"]]) == 0.0


def test_score_equals_the_official_script(e2e_sample):
    score = cider.score(e2e_sample["hypotheses"], e2e_sample["references"])
    assert score == pytest.approx(e2e_sample["scores"]["CIDEr"], abs=1e-12)


def test_score_of_every_item_equals_the_official_script(e2e_sample):
    items = cider.item_scores(e2e_sample["hypotheses"], e2e_sample["references"])
    assert items == pytest.approx(e2e_sample["segment_scores"]["CIDEr"], abs=1e-12)
