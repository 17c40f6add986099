"""Prompts and texts as ids, for decoders and for encoder-decoder models."""

import pytest
import real_text
from tokenizers import models
from word_tokenizers import BEGIN, END, word_tokenizer

from dylora.backbones.tokenizers import tokenizer_for
from dylora.data.completion import CompletionEncoder, Limits, Row, completion_rows, limits
from dylora.errors import InputError

WIDE = Limits(row=512, prompt=448)


def encoder(tokenizer=None, is_encoder_decoder=False, limits=WIDE):
    return CompletionEncoder(tokenizer or word_tokenizer(), is_encoder_decoder, limits)


def test_a_prompt_ends_with_the_separator():
    assert encoder().prompts(["w1 w2", "w9"]) == [Row([5, 6, BEGIN], [], False), Row([13, BEGIN], [], False)]


def test_a_pair_ends_with_the_end_token_and_the_loss_counts_text_and_end_only():
    (row,) = encoder().pairs([("w1 w2", "w3 w4 w5")])
    assert row.input_ids == [5, 6, BEGIN, 7, 8, 9, END]
    assert row.labels == [-100, -100, -100, 7, 8, 9, END]
    assert not row.truncated
    assert not row.cut_text


def test_an_empty_text_is_the_end_token_alone():
    (row,) = encoder().pairs([("w1", "")])
    assert (row.input_ids, row.labels) == ([5, BEGIN, END], [-100, -100, END])


def test_pairs_begin_with_their_prompts():
    pairs = [("w1 w2", "w3"), ("w4", "w5"), ("w1 w2", "w6")]
    rows, prompts = encoder().pairs(pairs), encoder().prompts([source for source, _ in pairs])
    assert [row.input_ids[: len(prompt.input_ids)] for row, prompt in zip(rows, prompts, strict=True)] == [
        prompt.input_ids for prompt in prompts
    ]


def test_nothing_makes_nothing():
    assert encoder().prompts([]) == encoder().pairs([]) == []


def test_a_begin_token_that_the_tokenizer_puts_first_stays_first():
    """As in Llama: `<s> prompt <s> text </s>`."""
    (row,) = encoder(word_tokenizer("<s> $A")).pairs([("w1 w2", "w3")])
    assert row.input_ids == [BEGIN, 5, 6, BEGIN, 7, END]
    assert row.labels == [-100, -100, -100, -100, 7, END]


def test_without_a_begin_token_the_end_token_separates():
    """As in Qwen."""
    (row,) = encoder(word_tokenizer(bos_token=None)).pairs([("w1 w2", "w3")])
    assert (row.input_ids, row.labels) == ([5, 6, END, 7, END], [-100, -100, -100, 7, END])


def test_a_tokenizer_that_sets_the_space_itself_gets_none():
    (row,) = encoder(word_tokenizer(metaspace=True)).pairs([("w1 w2", "w3 w4")])
    assert row.input_ids == [5, 6, BEGIN, 7, 8, END]


def test_a_tokenizer_that_gives_no_ids_for_a_letter_is_used_as_any_other():
    """One without an id for what it does not know leaves it out."""
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.model = models.BPE({f"w{i}": i for i in range(4)}, [])
    tokenizer.backend_tokenizer.model.unk_token = None
    assert tokenizer("a")["input_ids"] == []
    assert encoder(tokenizer).prompts(["a"]) == [Row([BEGIN], [], False)]


def test_a_byte_level_text_begins_with_a_space():
    tokenizer = tokenizer_for("builtin/gpt2")
    (row,) = encoder(tokenizer).pairs([("name : The Mill", "The Mill is a pub .")])
    assert tokenizer.decode(row.input_ids) == "name : The Mill<|endoftext|> The Mill is a pub .<|endoftext|>"


@pytest.mark.parametrize(("prompt", "expected"), [(4, [6, 7, 8, BEGIN]), (5, [5, 6, 7, 8, BEGIN])])
def test_of_a_long_prompt_the_last_tokens_are_kept(prompt, expected):
    made = encoder(limits=Limits(20, prompt))
    (row,) = made.prompts(["w1 w2 w3 w4"])
    assert (row.input_ids, row.truncated) == (expected, prompt == 4)
    (pair,) = made.pairs([("w1 w2 w3 w4", "w5")])
    assert (pair.input_ids, pair.truncated, pair.cut_text) == ([*expected, 9, END], prompt == 4, False)


def test_a_cut_prompt_keeps_its_begin_token():
    made = encoder(word_tokenizer("<s> $A"), limits=Limits(20, 4))
    assert made.prompts(["w1 w2 w3 w4"]) == [Row([BEGIN, 7, 8, BEGIN], [], True)]


@pytest.mark.parametrize(("row", "expected"), [(6, [7, 8, 9]), (7, [7, 8, 9, END])])
def test_a_long_text_loses_its_last_tokens(row, expected):
    (pair,) = encoder(limits=Limits(row, 5)).pairs([("w1 w2", "w3 w4 w5")])
    assert (pair.input_ids, pair.cut_text) == ([5, 6, BEGIN, *expected], row == 6)
    assert pair.labels == [-100, -100, -100, *expected]


def test_an_encoder_decoder_model_gets_source_and_text_apart():
    made = encoder(word_tokenizer("$A </s>"), is_encoder_decoder=True)
    assert made.prompts(["w1 w2"]) == [Row([5, 6, END], [], False)]
    assert made.pairs([("w1 w2", "w3")]) == [Row([5, 6, END], [7, END], False)]


def test_a_text_for_a_decoder_ends_even_where_its_tokenizer_sets_no_end():
    made = encoder(word_tokenizer(), is_encoder_decoder=True)
    assert made.pairs([("w1 w2", "w3"), ("w4", "")]) == [Row([5, 6], [7, END], False), Row([8], [END], False)]


def test_a_long_source_keeps_its_special_tokens_and_its_last_words():
    made = encoder(word_tokenizer("<s> $A </s>"), is_encoder_decoder=True, limits=Limits(4, 4))
    assert made.prompts(["w1 w2 w3 w4"]) == [Row([BEGIN, 7, 8, END], [], True)]
    assert made.pairs([("w1", "w2 w3 w4")]) == [Row([BEGIN, 5, END], [BEGIN, 6, 7, 8], False, cut_text=True)]
    plain = encoder(word_tokenizer("$A </s>"), is_encoder_decoder=True, limits=Limits(4, 3))
    assert plain.prompts(["w1 w2 w3 w4"]) == [Row([7, 8, END], [], True)]


def test_limits_without_a_smaller_backbone_are_those_asked_for():
    assert limits(word_tokenizer(), None, 512, 448) == limits(word_tokenizer(), 1024, 512, 448) == Limits(512, 448)


@pytest.mark.parametrize(
    ("window", "max_length", "max_context", "expected"),
    [
        (128, 512, 448, Limits(128, 64)),
        (200, 512, 448, Limits(200, 136)),
        (96, 512, 448, Limits(96, 48)),  # Half of the window, not 96 - 64.
        (128, 512, 10, Limits(128, 10)),
        (128, 512, 500, Limits(128, 116)),
    ],
)
def test_a_smaller_window_takes_from_the_prompt_down_to_half(window, max_length, max_context, expected):
    assert limits(word_tokenizer(), window, max_length, max_context) == expected


def test_the_tokenizers_own_limit_counts():
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = 100
    assert limits(tokenizer, 128, 120, 90) == Limits(100, 70)


@pytest.mark.parametrize("max_context", [0, 2, 512, 600])
def test_a_context_that_leaves_no_room_is_refused(max_context):
    with pytest.raises(InputError) as caught:
        limits(word_tokenizer(), None, 512, max_context)
    assert str(caught.value) == (
        f"data.max_context: must be at least 3 and below max_length, 512, got {max_context}; "
        "leave room for the prompt and for the text"
    )


def test_a_window_that_leaves_no_prompt_is_refused():
    assert limits(word_tokenizer(), 6, 512, 448) == Limits(6, 3)
    with pytest.raises(InputError) as caught:
        limits(word_tokenizer(), 4, 512, 448)
    assert str(caught.value) == (
        "model.backbone: must be a backbone with room for prompt and text, got one with 4; choose another one"
    )


@pytest.mark.parametrize("set_name", ["e2e", "webnlg", "dart"])
def test_gpt2_ids_of_the_lora_code_base(set_name):
    golden = [pair for item in real_text.linearisation()[set_name]["items"] for pair in item["pairs"]]
    assert golden
    made = encoder(tokenizer_for(real_text.gpt2_tokenizer()))
    rows = made.pairs([(pair["context"], pair["completion"]) for pair in golden])
    for row, prompt, pair in zip(rows, made.prompts([pair["context"] for pair in golden]), golden, strict=True):
        assert prompt.input_ids == pair["context_ids"]
        assert row.input_ids == pair["context_ids"] + pair["completion_ids"]
        assert row.labels == [-100] * len(pair["context_ids"]) + pair["completion_ids"]


def test_columns_of_pairs():
    pairs = [Row([5, 2, 7, 3], [-100, -100, 7, 3], False), Row([5, 6, 2, 3], [-100, -100, -100, 3], True, True)]
    assert completion_rows(pairs).to_dict() == {
        "input_ids": [[5, 2, 7, 3], [5, 6, 2, 3]],
        "labels": [[-100, -100, 7, 3], [-100, -100, -100, 3]],
        "index": [0, 1],
        "length": [4, 4],
        "truncated": [False, True],
        "cut_text": [False, True],
    }


def test_prompts_have_no_labels_and_a_long_text_counts_as_length():
    assert "labels" not in completion_rows([Row([5, 2], [], False)]).column_names
    assert completion_rows([Row([5], [7, 8, 3], False)])["length"][:] == [3]
