"""Beam search from one cache of each prompt writes what it writes where every beam runs the prompt."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, DynamicCache

from dylora.adapters.active_rank import rank_state
from dylora.decoding import DecodingConfig, generate_at_own_ranks, generate_at_ranks, shared_prompt

RANKS = (1, 2, 4)
BEAMS = DecodingConfig(max_new_tokens=10, num_beams=4, length_penalty=0.9, no_repeat_ngram_size=2)
PEAKED = {"initializer_range": 0.5}
WINDOW = {"sliding_window": 4, "use_sliding_window": True, "max_window_layers": 0}


@pytest.fixture
def prompts():
    """Prompts of 6, 3 and 5 tokens; the padding is on the left."""
    ids = torch.tensor([[1, 5, 6, 7, 8, 9], [0, 0, 0, 1, 11, 12], [0, 1, 9, 30, 5, 39]])
    mask = torch.tensor([[1] * 6, [0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1]])
    return ids, mask


@pytest.fixture(autouse=True)
def _always(monkeypatch):
    monkeypatch.setattr(shared_prompt, "_LEAST_SAVED", 0)


@pytest.fixture
def never(monkeypatch):
    def run(do):
        with monkeypatch.context() as patch:
            patch.setattr(shared_prompt, "_LEAST_SAVED", 10**9)
            return do()

    return run


@pytest.fixture
def forwards():
    """The rows and tokens of every forward of a model while it writes."""

    def record(model, do):
        seen = []
        hook = model.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
        )
        do()
        hook.remove()
        return seen

    return record


def _texts(model, prompts, ranks=RANKS, decoding=BEAMS):
    return generate_at_ranks(model, *prompts, ranks, decoding, (2, 13), pad_id=0)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("ranks", [RANKS, (2,)], ids=["stacked", "one rank"])
def test_texts_are_those_of_every_beam_running_its_prompt(adapted, prompts, never, family, ranks):
    model = adapted(family, AutoModelForCausalLM, **PEAKED).eval()
    expected = never(lambda: _texts(model, prompts, ranks))
    assert rank_state(model).shares_prompts is None
    assert _texts(model, prompts, ranks) == expected
    assert rank_state(model).shares_prompts
    assert _texts(model, prompts, ranks) == expected  # without the check of the first batch
    assert max(len(row) for texts in expected for row in texts) > 3, "or the beams do not go on"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_prompt_runs_once_a_rank_and_not_once_a_beam(adapted, prompts, forwards, family):
    model = adapted(family, AutoModelForCausalLM, **PEAKED).eval()
    _texts(model, prompts)  # the checks of the first batch
    rows = len(RANKS) * 3
    shapes = forwards(model, lambda: _texts(model, prompts))
    assert shapes[0] == (rows, 5)
    assert set(shapes[1:]) == {(rows * 4, 1)}


def test_rows_at_ranks_of_their_own_share_their_prompts_too(adapted, prompts, never):
    model = adapted("gpt2", AutoModelForCausalLM, **PEAKED).eval()
    ranks = torch.tensor([4, 1, 2])

    def write():
        return generate_at_own_ranks(model, *prompts, ranks, BEAMS, (2, 13), pad_id=0)

    expected = never(write)
    assert write() == expected
    assert rank_state(model).shares_prompts
    assert expected == [_texts(model, prompts, (rank,))[0][row] for row, rank in enumerate(ranks.tolist())]


def test_a_cache_of_some_tokens_is_not_shared(adapted, prompts, never):
    model = adapted("qwen2", AutoModelForCausalLM, **PEAKED, **WINDOW).eval()
    expected = never(lambda: _texts(model, prompts))
    assert _texts(model, prompts) == expected
    assert rank_state(model).shares_prompts is False


def test_a_model_that_does_not_go_on_from_a_cache_runs_its_prompts_a_beam(adapted, prompts, never, monkeypatch):
    model = adapted("gpt2", AutoModelForCausalLM, **PEAKED).eval()
    expected = never(lambda: _texts(model, prompts))
    right = DynamicCache.batch_repeat_interleave

    def wrong(cache, repeats):
        right(cache, repeats)
        cache.layers[0].keys = cache.layers[0].keys.flip(0)

    monkeypatch.setattr(DynamicCache, "batch_repeat_interleave", wrong)
    assert _texts(model, prompts) == expected
    assert rank_state(model).shares_prompts is False


def test_a_prompt_of_one_token_is_run_as_it_is(adapted, prompts):
    model = adapted("gpt2", AutoModelForCausalLM, **PEAKED).eval()
    ids, mask = (value.clone() for value in prompts)
    mask[1, :-1] = 0
    found = _texts(model, (ids, mask), (2,))[0][1]
    assert rank_state(model).shares_prompts is None
    assert found == _texts(model, (ids[1:2, -1:], mask[1:2, -1:]), (2,))[0][0]


def test_an_encoder_and_a_text_without_beams_share_nothing(adapted, prompts):
    encoder = adapted("t5", AutoModelForSeq2SeqLM, initializer_factor=1.0).eval()
    _texts(encoder, (prompts[0].flip(1), prompts[1].flip(1)))
    decoder = adapted("gpt2", AutoModelForCausalLM).eval()
    _texts(decoder, prompts, decoding=DecodingConfig(max_new_tokens=4))
    assert rank_state(encoder).shares_prompts is rank_state(decoder).shares_prompts is None
