"""Beam search with transformers against one that is written out, and against trying every text there is."""

import itertools
import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from dylora.adapters.active_rank import use_rank
from dylora.decoding import DecodingConfig, generate_at_ranks

ENDS = (2, 3)


@pytest.fixture
def model(adapted):
    return adapted("gpt2", AutoModelForCausalLM, vocab_size=6, initializer_range=0.6).eval()


class Reader:
    """Log-probabilities of the next token: those that would repeat an n-gram of the text have none of the mass."""

    def __init__(self, model, prompt, ngram):
        self.model, self.prompt, self.ngram = model, prompt, ngram
        self.known = {}

    def __call__(self, text):
        if tuple(text) not in self.known:
            logits = self.model(input_ids=torch.tensor([[*self.prompt, *text]])).logits[0, -1].double()
            for token in range(len(logits)):
                if _repeats([*text, token], self.ngram):
                    logits[token] = -math.inf
            self.known[tuple(text)] = torch.log_softmax(logits, 0).tolist()
        return self.known[tuple(text)]


def _repeats(text, size):
    grams = [tuple(text[i : i + size]) for i in range(len(text) - size + 1)] if size else []
    return bool(grams) and grams[-1] in grams[:-1]


def _beam_search(read, beams, penalty, most):
    """Finished texts are found among the best `beams` continuations; the best `beams` others go on."""
    open_texts, finished = [(0.0, [])], []
    for length in range(1, most + 1):
        continued = [
            (total + log_probability, [*text, token])
            for total, text in open_texts
            for token, log_probability in enumerate(read(text))
            if log_probability > -math.inf
        ]
        continued.sort(key=lambda pair: -pair[0])
        for total, text in continued[:beams]:
            if text[-1] in ENDS or length == most:
                finished.append((total / length**penalty, text))
        open_texts = [pair for pair in continued if pair[1][-1] not in ENDS][:beams]
    best = max(finished, key=lambda pair: pair[0])[1]
    return best[:-1] if best[-1] in ENDS else best


def _best_of_all(read, penalty, most):
    """The text of the largest log-probability / length ** penalty, the end token counted in the length."""
    scores = {}
    for length in range(1, most + 1):
        for text in itertools.product(range(6), repeat=length):
            ends = [token in ENDS for token in text]
            if any(ends[:-1]) or not (ends[-1] or length == most):
                continue
            total = sum(read(text[:place])[token] for place, token in enumerate(text))
            scores[text] = total / length**penalty
    best = max(scores, key=scores.get)
    return list(best[:-1]) if best[-1] in ENDS else list(best)


def _generated(model, prompt, ranks, **values):
    ids = torch.tensor([prompt])
    return generate_at_ranks(model, ids, torch.ones_like(ids), ranks, DecodingConfig(**values), ENDS, pad_id=0)


@pytest.mark.parametrize("penalty", [0.0, 0.9, 2.0, -1.0])
@torch.no_grad()
def test_equals_the_search_written_out(model, penalty):
    lengths = set()
    for prompt in ([1, 4], [1, 5, 0, 4, 5], [4, 4, 1]):
        values = {"num_beams": 3, "length_penalty": penalty, "no_repeat_ngram_size": 2, "max_new_tokens": 9}
        for rank, (found,) in zip((1, 4), _generated(model, prompt, (1, 4), **values), strict=True):
            with use_rank(model, rank):
                assert found == _beam_search(Reader(model, prompt, 2), 3, penalty, 9)
            lengths.add(len(found))
    assert len(lengths) > 1


@pytest.mark.parametrize(("penalty", "ngram"), [(0.0, 0), (0.9, 0), (0.9, 1), (3.0, 2)])
@torch.no_grad()
def test_with_beams_for_every_text_finds_the_best_of_all(model, penalty, ngram):
    values = {"num_beams": 64, "length_penalty": penalty, "no_repeat_ngram_size": ngram, "max_new_tokens": 3}
    for prompt in ([1, 4], [5, 0, 4]):
        ((found,),) = _generated(model, prompt, (3,), **values)
        with use_rank(model, 3):
            assert found == _best_of_all(Reader(model, prompt, ngram), penalty, 3)


@torch.no_grad()
def test_the_end_token_counts_in_the_length(adapted):
    """First comes the end (probability 0.6) or 4 (0.4); after 4 the end is certain. The lengths are then 1 and 2."""
    model = adapted("gpt2", AutoModelForCausalLM, vocab_size=6).eval()
    first, second = torch.full((6,), -1e4), torch.full((6,), -1e4)
    first[4], first[2] = math.log(0.4), math.log(0.6)
    second[2] = 0.0

    def forward(*args, input_ids, **kwargs):
        out = original(*args, input_ids=input_ids, **kwargs)
        out.logits[:, -1] = torch.where((input_ids[:, -1:] == 4), second, first)
        return out

    original, model.forward = model.forward, forward
    even = math.log2(math.log(0.4) / math.log(0.6))  # both score the same: log 0.6 / 1 = log 0.4 / 2 ** even
    for penalty, expected in ((even - 0.01, []), (even + 0.01, [4])):
        ((found,),) = _generated(model, [5, 5, 5], (1,), num_beams=2, length_penalty=penalty, max_new_tokens=4)
        assert found == expected
