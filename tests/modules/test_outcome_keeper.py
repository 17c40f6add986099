"""Each example once, in the order of the data, whatever batches it came in."""

import numpy as np
import torch

from dylora.modules import outcome_keeper
from dylora.modules.outcome_keeper import OutcomeKeeper

LOGITS = {1: torch.tensor([[2.0, 1], [0, 1], [3, 0], [0, 4]]), 2: torch.tensor([[2.0, 3], [0, 1], [3, 0], [5, 4]])}


def _add(keeper, rows, split=0, with_index=True):
    batch = {"labels": torch.tensor(rows) % 2} | ({"index": torch.tensor(rows)} if with_index else {})
    for rank, logits in LOGITS.items():
        keeper.add(rank, logits[rows], batch, split)


def test_batches_in_any_order_stand_in_the_order_of_the_data():
    keeper = OutcomeKeeper("classes", "accuracy")
    _add(keeper, [3, 0])
    _add(keeper, [2, 1])
    _add(keeper, [1, 0], split=1)
    found = keeper.finish()
    assert found.ranks == (1, 2)
    assert found.split.tolist() == [0, 0, 0, 0, 1, 1]
    assert found.index.tolist() == [0, 1, 2, 3, 0, 1]
    assert found.values.tolist() == [[0, 1, 0, 1, 0, 1], [1, 1, 0, 0, 1, 1]]
    assert found.expected.tolist() == [0, 1, 0, 1, 0, 1]
    assert keeper.finish() is None


def test_an_example_of_two_processes_counts_once(monkeypatch):
    keeper = OutcomeKeeper("classes", "accuracy")
    _add(keeper, [0, 1, 2])
    other = OutcomeKeeper("classes", "accuracy")
    _add(other, [3, 0])  # a sampler that fills up with repeats
    monkeypatch.setattr(outcome_keeper, "from_all_processes", lambda items: [*items, other._share(), None])
    assert keeper.finish().index.tolist() == [0, 1, 2, 3]


def test_rows_without_an_index_stand_as_they_came():
    keeper = OutcomeKeeper("classes", "accuracy")
    _add(keeper, [3, 0], with_index=False)
    _add(keeper, [1], with_index=False)
    assert keeper.finish().values.tolist() == [[1, 0, 1], [0, 1, 1]]


def test_texts_keep_three_numbers():
    keeper = OutcomeKeeper("tokens", "perplexity")
    keeper.add(4, torch.tensor([[2.5, 1, 2], [1.0, 3, 3]]), {"index": torch.tensor([1, 0])}, 0)
    found = keeper.finish()
    assert np.allclose(found.values, [[[1.0, 3, 3], [2.5, 1, 2]]])
    assert len(found.expected) == 0


def test_f1_of_more_than_two_classes_is_not_kept():
    for metric, is_kept in (("f1", False), ("matthews", True), ("macro_f1", True)):
        keeper = OutcomeKeeper("classes", metric)
        keeper.add(1, torch.eye(3), {"labels": torch.tensor([0, 1, 2])}, 0)
        assert (keeper.finish() is not None) == is_kept
