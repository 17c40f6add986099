"""Padded batches."""

import torch

from dylora.data.completion_batching import CompletionCollator

PAIRS = [
    {"input_ids": [5, 6, 2, 7, 3], "labels": [-100, -100, -100, 7, 3], "index": 4},
    {"input_ids": [8, 2, 3], "labels": [-100, -100, 3], "index": 0},
]


def test_pairs_are_filled_on_the_right():
    batch = CompletionCollator(3, "right")(PAIRS)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[5, 6, 2, 7, 3], [8, 2, 3, 3, 3]],
        "attention_mask": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]],
        "labels": [[-100, -100, -100, 7, 3], [-100, -100, 3, -100, -100]],
        "index": [4, 0],
    }
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_prompts_are_filled_on_the_left():
    rows = [{"input_ids": row["input_ids"], "index": row["index"]} for row in PAIRS]
    batch = CompletionCollator(0, "left")(rows)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[5, 6, 2, 7, 3], [0, 0, 8, 2, 3]],
        "attention_mask": [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]],
        "index": [4, 0],
    }


def test_source_and_text_have_widths_of_their_own():
    batch = CompletionCollator(0, "right")(
        [{"input_ids": [5, 3], "labels": [7, 8, 3], "index": 0}, {"input_ids": [5, 6, 3], "labels": [3], "index": 1}]
    )
    assert batch["input_ids"].tolist() == [[5, 3, 0], [5, 6, 3]]
    assert batch["labels"].tolist() == [[7, 8, 3], [3, -100, -100]]
