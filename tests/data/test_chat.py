"""Conversations as ids in four chat templates: which tokens a row has, and which of them count, one by one."""

import pytest
from chat_tokenizers import BARE, CHATML, GEMMA, LLAMA2, chat_tokenizer
from word_tokenizers import BEGIN, END

from dylora.data.chat import ChatEncoder, ChatTemplate
from dylora.data.completion import Limits
from dylora.errors import InputError

WIDE = Limits(row=64, prompt=48)
START, STOP, TURN, TURN_END = 104, 105, 106, 107
SYSTEM, USER, ASSISTANT, MODEL, INST, INST_END = range(108, 114)
ONE = [{"role": "user", "content": "w1 w2"}, {"role": "assistant", "content": "w3 w4"}]
TWO = [*ONE, {"role": "user", "content": "w5"}, {"role": "assistant", "content": "w6"}]


def row_of(template, messages, train_on="completion", limits=WIDE):
    form = ChatTemplate(chat_tokenizer(template), "a model")
    (row,) = ChatEncoder(form, limits).rows([form.answers(messages, "line 1", train_on)])
    return row


def expected(*parts):
    """Ids and labels of (ids, whether they count)."""
    ids = [token for tokens, _ in parts for token in tokens]
    return ids, [token if counts else -100 for tokens, counts in parts for token in tokens]


def test_chatml_counts_the_last_answer_and_its_end():
    row = row_of(CHATML, TWO)
    before = [START, USER, 5, 6, STOP, START, ASSISTANT, 7, 8, STOP, START, USER, 9, STOP, START, ASSISTANT]
    assert (row.input_ids, row.labels) == expected((before, False), ([10, STOP], True))
    assert not row.truncated
    assert not row.cut_text


def test_chatml_counts_every_answer_if_asked():
    row = row_of(CHATML, TWO, "all_assistant_turns")
    assert (row.input_ids, row.labels) == expected(
        ([START, USER, 5, 6, STOP, START, ASSISTANT], False),
        ([7, 8, STOP], True),
        ([START, USER, 9, STOP, START, ASSISTANT], False),
        ([10, STOP], True),
    )


def test_gemma():
    row = row_of(GEMMA, TWO, "all_assistant_turns")
    assert (row.input_ids, row.labels) == expected(
        ([BEGIN, TURN, USER, 5, 6, TURN_END, TURN, MODEL], False),
        ([7, 8, TURN_END], True),
        ([TURN, USER, 9, TURN_END, TURN, MODEL], False),
        ([10, TURN_END], True),
    )


def test_llama_2():
    row = row_of(LLAMA2, TWO, "all_assistant_turns")
    assert (row.input_ids, row.labels) == expected(
        ([BEGIN, INST, 5, 6, INST_END], False),
        ([7, 8, END], True),
        ([BEGIN, INST, 9, INST_END], False),
        ([10, END], True),
    )


def test_a_template_without_an_end_gets_the_tokenizers():
    assert row_of(BARE, ONE).input_ids == [5, 6, 7, 8, END]
    assert row_of(BARE, ONE).labels == [-100, -100, 7, 8, END]


@pytest.mark.parametrize(("template", "ends"), [(CHATML, (END, STOP)), (GEMMA, (END, TURN_END)), (LLAMA2, (END,))])
def test_an_answer_ends_at_the_tokenizers_end_or_the_templates(template, ends):
    assert ChatEncoder(ChatTemplate(chat_tokenizer(template), "a model"), WIDE).end_ids == ends


@pytest.mark.parametrize("template", [CHATML, GEMMA, LLAMA2])
def test_a_row_is_what_the_template_gives_and_begins_with_its_prompt(template):
    tokenizer = chat_tokenizer(template)
    form = ChatTemplate(tokenizer, "a model")
    row = row_of(template, TWO)
    whole = tokenizer.apply_chat_template(TWO, tokenize=True)["input_ids"]
    assert row.input_ids == whole[: len(row.input_ids)]
    (prompt,) = ChatEncoder(form, WIDE).prompts([form.prompt(TWO[:-1], "line 1")])
    assert row.input_ids[: len(prompt.input_ids)] == prompt.input_ids
    assert set(row.labels[: len(prompt.input_ids)]) == {-100}
    assert -100 not in row.labels[len(prompt.input_ids) :]


def test_a_long_prompt_keeps_its_begin_token_and_its_last_ones():
    row = row_of(GEMMA, TWO, limits=Limits(row=12, prompt=6))
    assert row.input_ids == [BEGIN, USER, 9, TURN_END, TURN, MODEL, 10, TURN_END]
    assert row.truncated
    assert not row.cut_text


def test_a_long_answer_is_marked():
    assert row_of(CHATML, ONE, limits=Limits(row=9, prompt=7)).cut_text
    assert not row_of(CHATML, ONE, limits=Limits(row=10, prompt=7)).cut_text


def test_a_model_without_a_template():
    with pytest.raises(InputError, match=r"data.messages: must be left out for a backbone whose tokenizer has no chat"):
        ChatTemplate(chat_tokenizer(None), "a model")


def test_a_role_that_the_template_refuses_names_the_line():
    form = ChatTemplate(chat_tokenizer(GEMMA), "a model")
    with pytest.raises(InputError, match=r"line 3: .* got the roles system, user; the template says: System role not"):
        form.prompt([{"role": "system", "content": "w1"}, {"role": "user", "content": "w2"}], "line 3")


def test_a_template_that_changes_earlier_answers_trains_on_the_last_alone():
    """As Qwen 3 does, which leaves out what was thought."""
    forgetful = CHATML.replace("m['content'] +", "(m['content'] if loop.last else m['content'][:2]) +")
    with pytest.raises(InputError, match=r"line 1: .* an answer, message 2, .*--data.train_on completion"):
        row_of(forgetful, TWO, "all_assistant_turns")
    assert row_of(forgetful, TWO).labels[-2:] == [10, STOP]
