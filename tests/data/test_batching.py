"""Order of rows, their share among processes, padding."""

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.utils.data import DistributedSampler
from transformers import AutoTokenizer, DataCollatorWithPadding

from dylora.data.batching import Collator, CompletionCollator, EvaluationSampler, train_sampler
from dylora.errors import InputError
from dylora.metrics.glue import GLUEMetrics
from dylora.tasks import get_task

LENGTHS = [3 + (i * 7919) % 97 for i in range(1000)]


def order(epoch, seed=10, rank=0, num_replicas=1):
    sampler = train_sampler(LENGTHS, 32, num_replicas, rank, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_training_order_is_a_function_of_seed_and_epoch():
    sampler = train_sampler(LENGTHS, 32, 1, 0, seed=10)
    list(sampler)
    torch.rand(5)
    sampler.set_epoch(3)
    assert list(sampler) == order(3)
    assert order(3) != order(4)
    assert order(3) != order(3, seed=11)


def test_training_order_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    order(1)
    assert torch.equal(torch.rand(3), expected)


def test_an_epoch_holds_every_row_once():
    assert sorted(order(0)) == list(range(1000))


def test_batches_hold_rows_of_similar_length():
    rows = order(0)
    spreads = [
        max(LENGTHS[row] for row in rows[i : i + 32]) - min(LENGTHS[row] for row in rows[i : i + 32])
        for i in range(0, 960, 32)
    ]
    assert sum(spreads) / len(spreads) < 20  # A random batch of 32 spreads over 91 of the 97 lengths on average.


def test_processes_share_an_epoch_evenly_and_repeat_at_most_the_remainder():
    shares = [order(2, rank=rank, num_replicas=3) for rank in range(3)]
    assert [len(share) for share in shares] == [334, 334, 334]
    counts = Counter(row for share in shares for row in share)
    assert len(counts) == 1000
    assert sum(counts.values()) == 1002


@pytest.mark.parametrize("num_replicas", [2, 4])
def test_the_batches_of_all_processes_together_are_those_of_one(num_replicas):
    whole, share = order(2), 32 // num_replicas
    samplers = [train_sampler(LENGTHS, share, num_replicas, rank, seed=10) for rank in range(num_replicas)]
    for sampler in samplers:
        sampler.set_epoch(2)
    shares = [list(sampler) for sampler in samplers]
    for batch in range(1000 // 32):
        rows = [row for each in shares for row in each[batch * share : (batch + 1) * share]]
        assert sorted(rows) == sorted(whole[batch * 32 : (batch + 1) * 32])


def test_more_processes_than_training_rows_are_refused():
    with pytest.raises(InputError, match=r"trainer.devices: must be at most 3 processes, got 4;"):
        train_sampler([5, 6, 7], 2, 4, 0, seed=10)


def test_evaluation_goes_from_long_to_short_and_keeps_the_order_of_equals():
    assert list(EvaluationSampler([4, 9, 4, 11, 9])) == [3, 1, 4, 0, 2]


@pytest.mark.parametrize(("rows", "num_replicas"), [(7, 2), (8, 2), (5, 3), (1, 2), (2, 5), (1000, 8)])
def test_evaluation_gives_every_row_to_exactly_one_process(rows, num_replicas):
    shares = [list(EvaluationSampler(LENGTHS[:rows], num_replicas, rank)) for rank in range(num_replicas)]
    assert sorted(row for share in shares for row in share) == list(range(rows))


def test_no_process_believes_to_have_nothing_to_evaluate():
    samplers = [EvaluationSampler([5], 3, rank) for rank in range(3)]
    assert [len(sampler) for sampler in samplers] == [1, 1, 1]
    assert [list(sampler) for sampler in samplers] == [[0], [], []]


def test_samplers_are_of_the_kind_that_lightning_leaves_in_place():
    assert isinstance(EvaluationSampler([1]), DistributedSampler)
    assert isinstance(train_sampler([1], 1, 1, 0, 0), DistributedSampler)


def test_batches_are_padded_to_their_longest_row(word_tokenizer):
    collate = Collator(AutoTokenizer.from_pretrained(word_tokenizer))
    rows = [
        {"input_ids": [2, 4, 3], "attention_mask": [1, 1, 1], "labels": 1, "index": 8},
        {"input_ids": [2, 4, 5, 6, 3], "attention_mask": [1, 1, 1, 1, 1], "labels": 0, "index": 2},
    ]
    batch = collate(rows)
    assert type(batch) is dict
    assert batch["input_ids"].tolist() == [[2, 4, 3, 0, 0], [2, 4, 5, 6, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [1, 0]
    assert batch["index"].tolist() == [8, 2]
    assert batch["labels"].dtype == torch.int64


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("labels", [[1, 0, 1], [3.8, 0.0, 5.0]])
def test_batches_are_those_of_the_tokenizer_itself(word_tokenizer, side, labels):
    tokenizer = AutoTokenizer.from_pretrained(word_tokenizer, padding_side=side, pad_token_type_id=7)
    rows = []
    for place, length in enumerate((3, 9, 1)):
        ids = {"input_ids": list(range(2, 2 + length)), "attention_mask": [1] * length, "token_type_ids": [1] * length}
        rows.append({**ids, "labels": labels[place], "index": place})
    expected = DataCollatorWithPadding(tokenizer)(rows)
    found = Collator(tokenizer)(rows)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_scores_become_float_labels(word_tokenizer):
    collate = Collator(AutoTokenizer.from_pretrained(word_tokenizer))
    batch = collate([{"input_ids": [2, 3], "attention_mask": [1, 1], "labels": 3.8, "index": 0}])
    assert batch["labels"].dtype == torch.float32


def run_two_processes(*arguments):
    """Start both as a cluster's launcher would, so that they import side by side; what the first one prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    command = [sys.executable, Path(__file__).with_name("two_processes.py"), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [
        subprocess.Popen(command, env={**os.environ, **meeting, "LOCAL_RANK": str(rank)}, **pipes) for rank in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    return outputs[0][0]


@pytest.mark.slow
def test_two_processes_of_lightning_count_every_row_once_and_give_the_figures_of_one(tmp_path):
    """With one row, the second process has none, and must still take part when the metrics are put together."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (101,), generator=generator)
    logits = torch.randn(101, 2, generator=generator) + torch.nn.functional.one_hot(labels)
    scores = (labels * 2.5 + torch.rand(101, generator=generator), labels * 5.0)
    stored = {"mrpc": (logits, labels), "cola": (logits, labels), "stsb": scores}
    torch.save(stored, tmp_path / "stored.pt")
    output = run_two_processes(tmp_path / "stored.pt", "1", "5", "101")
    for size, line in zip((1, 5, 101), output.splitlines(), strict=True):
        rows, figures = json.loads(line)
        assert rows == list(range(size))
        for task, (outputs, targets) in stored.items():
            metrics = GLUEMetrics(get_task(task))
            metrics.update(outputs[:size], targets[:size])
            assert figures[task] == pytest.approx(metrics.compute(), rel=0, abs=1e-14)


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
