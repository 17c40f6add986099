"""No n-gram of the generated text twice; the prompt does not count."""

import pytest
import torch

from dylora.decoding import NoRepeatGeneratedNGram


def _barred(text, size):
    """Every token that would make the last n tokens some earlier n of them, tried one by one."""
    barred = set()
    for token in range(6):
        longer = [*text, token]
        grams = [tuple(longer[i : i + size]) for i in range(len(longer) - size + 1)]
        if grams and grams[-1] in grams[:-1]:
            barred.add(token)
    return barred


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 12])
def test_bars_exactly_the_tokens_that_complete_a_repeated_n_gram(size, length):
    generator = torch.Generator().manual_seed(size)
    prompt = torch.randint(0, 6, (64, 5), generator=generator)
    text = torch.randint(0, 3, (64, length), generator=generator)
    scores = torch.randn(64, 6, generator=generator)
    found = NoRepeatGeneratedNGram(size, 5)(torch.cat([prompt, text], 1), scores)
    for row in range(64):
        barred = _barred(text[row].tolist(), size)
        for token in range(6):
            expected = -torch.inf if token in barred else scores[row, token]
            assert found[row, token] == expected


def test_a_repetition_of_the_prompt_is_allowed():
    scores = torch.zeros(1, 9)
    ids = torch.tensor([[5, 6, 7, 8, 5, 6, 7]])
    assert NoRepeatGeneratedNGram(4, 4)(ids, scores).isfinite().all()
    assert NoRepeatGeneratedNGram(4, 0)(ids, scores).isinf().nonzero().tolist() == [[0, 8]]


def test_given_scores_stay_as_they_are():
    scores = torch.zeros(1, 9)
    NoRepeatGeneratedNGram(1, 0)(torch.tensor([[4]]), scores)
    assert (scores == 0).all()
