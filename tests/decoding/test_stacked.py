"""Generation at all ranks in one call is generation rank by rank, token for token."""

import logging
from pathlib import Path

import pytest
import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    FSMTConfig,
    FSMTForConditionalGeneration,
    GenerationConfig,
    LEDConfig,
    LEDForConditionalGeneration,
)

from dylora.adapters.active_rank import rank_state, set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.rank_per_row import takes_rank_per_row
from dylora.assets import asset_path
from dylora.decoding import DecodingConfig, end_token_ids, generate_at_ranks, stacked
from dylora.errors import InputError

RANKS = (1, 2, 3, 4)
PEAKED = {
    "gpt2": {"initializer_range": 0.5},
    "llama": {"initializer_range": 0.5},
    "t5": {"initializer_factor": 1.0},
    "bart": {"init_std": 0.5},
}
FAMILIES = pytest.mark.parametrize("family", PEAKED)
WAYS = pytest.mark.parametrize(
    "decoding",
    [
        DecodingConfig(max_new_tokens=10),
        DecodingConfig(max_new_tokens=10, num_beams=4, length_penalty=0.9, no_repeat_ngram_size=2),
    ],
    ids=["greedy", "beam 4"],
)


@pytest.fixture
def writer(adapted):
    def make(family, **changes):
        auto = AutoModelForSeq2SeqLM if family in ("t5", "bart") else AutoModelForCausalLM
        return adapted(family, auto, **{**PEAKED[family], **changes}).eval()

    return make


@pytest.fixture
def prompts():
    """Prompts of 6, 3 and 5 tokens; the padding is on the left."""
    ids = torch.tensor([[1, 5, 6, 7, 8, 9], [0, 0, 0, 1, 11, 12], [0, 1, 9, 30, 5, 39]])
    mask = torch.tensor([[1] * 6, [0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1]])
    return ids, mask


def _padded_for(family, ids, mask):
    """Sources of an encoder are padded on the right."""
    if family not in ("t5", "bart"):
        return ids, mask
    rows = [row[kept.bool()] for row, kept in zip(ids, mask, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), mask.flip(1)


def _generate(model, ids, mask, ranks, decoding, ends=(2, 13)):
    return generate_at_ranks(model, ids, mask, ranks, decoding, ends, pad_id=0)


@FAMILIES
@WAYS
def test_all_ranks_in_one_call_equal_rank_by_rank(writer, prompts, family, decoding):
    model = writer(family)
    ids, mask = _padded_for(family, *prompts)
    stacked = _generate(model, ids, mask, RANKS, decoding)
    for rank, texts in zip(RANKS, stacked, strict=True):
        assert [texts] == _generate(model, ids, mask, (rank,), decoding)
    assert len({str(texts) for texts in stacked}) > 1, "the ranks must differ for the test to mean anything"


@pytest.mark.parametrize(("tokens", "calls"), [(10**6, [12]), (2 * 3 * 4 * 16, [6, 6]), (1, [3] * 4)])
def test_as_many_ranks_are_stacked_as_cached_tokens_pay(writer, prompts, tokens, calls, monkeypatch):
    model, decoding = writer("gpt2"), WAYS.args[1][1]
    expected = _generate(model, *prompts, RANKS, decoding)
    rows, generate = [], model.generate

    def counted(**inputs):
        rows.append(len(inputs["input_ids"]))
        return generate(**inputs)

    monkeypatch.setattr(model, "generate", counted)
    monkeypatch.setitem(stacked._CACHED_TOKENS, "cpu", tokens)
    assert _generate(model, *prompts, RANKS, decoding) == expected
    assert rows == calls
    rows.clear()
    _generate(model, *prompts, RANKS, DecodingConfig(max_new_tokens=2, sample=True))
    assert rows == [12]


@FAMILIES
@WAYS
def test_a_rank_alone_is_what_transformers_gives_without_padding(writer, prompts, family, decoding):
    """The oracle is transformers at one plain rank, one prompt at a time; it counts n-grams of a prompt of its own."""
    model = writer(family)
    ids, mask = prompts
    texts = _generate(model, *_padded_for(family, ids, mask), (2,), decoding)[0]
    set_rank(model, 2)
    model.generation_config.forced_eos_token_id = None  # BART's files force an end, which the protocols do not
    for row in range(3):
        prompt = ids[row][mask[row].bool()][None]
        start = 1 if family in ("t5", "bart") else prompt.shape[1]
        extra = {"num_beams": 4, "length_penalty": 0.9, "early_stopping": "never"} if decoding.num_beams > 1 else {}

        def unrepeated(_, so_far, size=decoding.no_repeat_ngram_size, start=start):
            text = so_far[start:].tolist()
            barred = {t for t in range(40) if size and _repeats([*text, t], size)}
            return [token for token in range(40) if token not in barred]

        out = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=10,
            eos_token_id=[2, 13],
            pad_token_id=0,
            prefix_allowed_tokens_fn=unrepeated,
            renormalize_logits=True,
            **extra,
        )
        tokens = out[0, start:].tolist()
        ends = [place for place, token in enumerate(tokens) if token in (2, 13)]
        assert texts[row] == tokens[: ends[0] if ends else None]


def _repeats(text, size):
    grams = [tuple(text[i : i + size]) for i in range(len(text) - size + 1)]
    return bool(grams) and grams[-1] in grams[:-1]


@FAMILIES
def test_the_rank_before_comes_back_and_so_do_the_models_settings(writer, prompts, family):
    model = writer(family)
    set_rank(model, 3)
    settings = model.generation_config
    _generate(model, *_padded_for(family, *prompts), RANKS, DecodingConfig(max_new_tokens=2))
    assert rank_state(model).rank == 3
    assert model.generation_config is settings


def test_what_the_models_files_say_about_decoding_is_not_used(writer, prompts):
    model = writer("gpt2")
    decoding = DecodingConfig(max_new_tokens=8)
    expected = _generate(model, *prompts, RANKS, decoding)
    model.generation_config = GenerationConfig(
        num_beams=3, min_length=30, repetition_penalty=5.0, no_repeat_ngram_size=1, max_length=7, forced_eos_token_id=2
    )
    assert _generate(model, *prompts, RANKS, decoding) == expected


def test_texts_end_before_the_first_of_several_end_tokens(writer, prompts):
    model = writer("gpt2")
    (texts,) = _generate(model, *prompts, (2,), DecodingConfig(max_new_tokens=10), ends=(2,))
    place = next(i for i in range(2, 10) if texts[0][i] not in texts[0][:i])
    (cut,) = _generate(model, *prompts, (2,), DecodingConfig(max_new_tokens=10), ends=(2, texts[0][place]))
    assert cut[0] == texts[0][:place]


def test_sampling_repeats_itself_and_leaves_the_generator_alone(writer, prompts):
    model = writer("gpt2")
    decoding = DecodingConfig(max_new_tokens=10, sample=True, temperature=2.0)
    before = torch.get_rng_state()
    first = _generate(model, *prompts, RANKS, decoding)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    assert _generate(model, *prompts, RANKS, decoding) == first
    other = DecodingConfig(max_new_tokens=10, sample=True, temperature=2.0, sampling_seed=11)
    assert _generate(model, *prompts, RANKS, other) != first


def test_sampling_draws_from_the_whole_distribution(writer):
    """One step from 4000 equal prompts: the shares are the probabilities, those of rare tokens too."""
    model = writer("gpt2", initializer_range=0.2)
    ids = torch.tensor([[1, 5, 6]]).repeat(4000, 1)
    (texts,) = _generate(model, ids, torch.ones_like(ids), (4,), DecodingConfig(max_new_tokens=1, sample=True), (2,))
    set_rank(model, 4)
    with torch.no_grad():
        expected = torch.softmax(model(input_ids=ids[:1]).logits[0, -1], 0)
    drawn = torch.tensor([text[0] if text else 2 for text in texts]).bincount(minlength=40) / 4000
    assert (drawn - expected).abs().sum() < 0.1
    assert expected.min() < 0.01


def test_a_prompt_longer_than_the_context_is_refused(writer, prompts):
    model = writer("gpt2")  # 32 positions
    ids, mask = torch.ones(2, 20, dtype=torch.long), torch.ones(2, 20, dtype=torch.long)
    with pytest.raises(
        InputError, match=r"prompt: must be at most 19 tokens long .*context is 32, 13 of it.*one of 20"
    ):
        _generate(model, ids, mask, (1,), DecodingConfig(max_new_tokens=13))
    mask[:, :1] = 0
    _generate(model, ids, mask, (1,), DecodingConfig(max_new_tokens=13))
    with pytest.raises(InputError, match=r"model.max_new_tokens: must be below the model's context of 32 tokens"):
        _generate(model, *prompts, (1,), DecodingConfig(max_new_tokens=32))


def test_a_source_longer_than_the_encoder_is_refused(writer):
    ids = torch.full((1, 33), 5)
    with pytest.raises(InputError, match=r"prompt: must be at most 32 tokens long \(the model's context is 32\)"):
        _generate(writer("bart"), ids, torch.ones_like(ids), (1,), DecodingConfig(max_new_tokens=4))


def test_a_model_that_cannot_search_with_beams_says_so_in_one_line(writer, prompts, monkeypatch):
    model = writer("gpt2")
    monkeypatch.setattr(type(model), "_supported_generation_modes", ["greedy_search"], raising=False)
    _generate(model, *prompts, (1,), DecodingConfig(max_new_tokens=2))
    with pytest.raises(InputError, match=r"model.num_beams: must be a number that transformers supports, got 4 with"):
        _generate(model, *prompts, (1,), DecodingConfig(max_new_tokens=2, num_beams=4))


def test_transformers_warns_of_nothing_meanwhile(writer, prompts):
    model = writer("gpt2")
    levels = []
    model.register_forward_pre_hook(lambda *_: levels.append(transformers.logging.get_verbosity()))
    transformers.logging.set_verbosity_warning()
    try:
        _generate(model, *prompts, (1,), DecodingConfig(max_new_tokens=1))
        assert set(levels) == {logging.ERROR}
        assert transformers.logging.get_verbosity() == logging.WARNING
    finally:
        transformers.logging.set_verbosity_error()


def test_end_tokens_are_the_tokenizers_and_the_blank_line():
    tokenizer = AutoTokenizer.from_pretrained(asset_path("gpt2"))
    end = tokenizer.eos_token_id
    assert end_token_ids(tokenizer) == (end,)  # it has no token for two line breaks
    tokenizer.add_tokens("\n\n")
    assert end_token_ids(tokenizer) == (end, len(tokenizer) - 1)
    tokenizer.eos_token = None
    with pytest.raises(InputError, match=r"model.backbone: must be one whose tokenizer has an end token"):
        end_token_ids(tokenizer)


def test_the_blank_line_of_gpt2_is_token_628():
    folder = Path(__file__).resolve().parents[3] / "shared" / "models" / "gpt2-tokenizer"
    if not folder.is_dir():
        pytest.skip("the tokenizer of GPT-2 is not there")
    assert end_token_ids(AutoTokenizer.from_pretrained(folder)) == (50256, 628)


def _writers_that_mix_rows():
    parts = {f"{part}_{what}": 2 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    sizes = {**parts, "d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "init_std": 0.5}
    sizes |= {"max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64}
    vocabularies = {"src_vocab_size": 40, "tgt_vocab_size": 40, "langs": ["a", "b"], "max_position_embeddings": 64}
    return {
        "LED": lambda: LEDForConditionalGeneration(LEDConfig(**sizes, vocab_size=40, attention_window=4)),
        "FSMT": lambda: FSMTForConditionalGeneration(FSMTConfig(**sizes, **vocabularies)),
    }


@pytest.mark.parametrize("kind", ["LED", "FSMT"])
@pytest.mark.parametrize("tokens", [5, 12])  # 12: as many as three rows at four ranks
@WAYS
def test_a_writer_that_mixes_rows_writes_rank_by_rank(kind, tokens, decoding, randomise):
    model = _writers_that_mix_rows()[kind]().eval()
    targets = ["query", "value"] if kind == "LED" else ["q_proj", "v_proj"]
    model = randomise(adapt(model, DyLoRAConfig(4, target_modules=targets)))
    ids = torch.randint(5, 40, (3, tokens))
    texts = _generate(model, ids, torch.ones_like(ids), RANKS, decoding)
    assert not takes_rank_per_row(model)
    for rank, written in zip(RANKS, texts, strict=True):
        assert [written] == _generate(model, ids, torch.ones_like(ids), (rank,), decoding)
    assert len({str(written) for written in texts}) > 1, "the ranks must differ for the test to mean anything"


@FAMILIES
def test_the_check_of_the_first_batch_is_made_once_and_leaves_no_trace(writer, prompts, family, monkeypatch):
    model = writer(family)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    ids, mask = _padded_for(family, *prompts)
    decoding, calls = DecodingConfig(max_new_tokens=4, sample=True, num_beams=1), []
    generate = type(model).generate
    monkeypatch.setattr(model, "generate", lambda **kwargs: calls.append(kwargs) or generate(model, **kwargs))
    first = _generate(model, ids, mask, RANKS, decoding)
    assert len(calls) == 6  # four ranks alone and stacked for the check, and the texts
    assert _generate(model, ids, mask, RANKS, decoding) == first
    assert len(calls) == 7
    assert rank_state(model).row_checks == {"generation": True}
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
