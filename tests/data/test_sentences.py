"""Sentences as token ids."""

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from dylora.data.sentences import sentence_rows, token_limit
from dylora.errors import InputError

ROWS = {
    "index": [0, 1, 2],
    "a": ["w0 w1", "w2 w3 w4 w5", "w6"],
    "b": ["w7", "w8 w9 w10", "w11"],
    "labels": [1, 0, 1],
}


@pytest.fixture
def tokenizer(word_tokenizer):
    return AutoTokenizer.from_pretrained(word_tokenizer)


def make(tokenizer, fields=("a", "b"), limit=512):
    return sentence_rows(Dataset.from_dict(ROWS), fields, tokenizer, limit)


def test_pairs_are_tokenised_and_keep_their_other_columns(tokenizer):
    made = make(tokenizer)
    assert made["input_ids"][:] == [[2, 4, 5, 3, 11, 3], [2, 6, 7, 8, 9, 3, 12, 13, 14, 3], [2, 10, 3, 15, 3]]
    assert made["attention_mask"][0] == [1] * 6
    assert made["length"][:] == [6, 10, 5]
    assert made["truncated"][:] == [False, False, False]
    assert made["index"][:] == [0, 1, 2]
    assert made["labels"][:] == [1, 0, 1]
    assert not {"a", "b"} & set(made.column_names)


def test_single_sentences_are_tokenised(tokenizer):
    assert make(tokenizer, fields=("a",))["input_ids"][0] == [2, 4, 5, 3]


def test_rows_are_cut_at_max_length_the_longer_sentence_first(tokenizer):
    made = make(tokenizer, limit=7)
    assert made["input_ids"][:] == [[2, 4, 5, 3, 11, 3], [2, 6, 7, 3, 12, 13, 3], [2, 10, 3, 15, 3]]
    assert made["truncated"][:] == [False, True, False]


def test_the_tokenizers_own_limit_counts_if_it_is_lower(tokenizer):
    assert token_limit(tokenizer, 512, 2) == 512
    tokenizer.model_max_length = 128
    assert token_limit(tokenizer, 512, 2) == 128
    assert token_limit(tokenizer, 64, 2) == 64


@pytest.mark.parametrize(("sentences", "least"), [(1, 3), (2, 5)])
def test_max_length_without_room_for_text_is_refused(tokenizer, sentences, least):
    assert token_limit(tokenizer, least, sentences) == least
    with pytest.raises(InputError, match=rf"data.max_length: must be at least {least}, got {least - 1};"):
        token_limit(tokenizer, least - 1, sentences)


def test_rows_that_fit_are_not_tokenised_twice(tokenizer, monkeypatch):
    asked = []
    call = type(tokenizer).__call__
    monkeypatch.setattr(
        type(tokenizer), "__call__", lambda self, *texts, **how: asked.append(texts) or call(self, *texts, **how)
    )
    make(tokenizer, limit=7)
    assert [[len(field) for field in texts] for texts in asked] == [[3, 3], [1, 1]]
