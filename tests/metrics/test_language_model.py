"""Perplexity and token accuracy, over all tokens whatever the batches."""

import math

import pytest
import torch

from dylora.metrics.language_model import TokenMetrics

ROWS = torch.tensor([[6.0, 2.0, 4.0], [0.5, 1.0, 1.0], [9.0, 0.0, 3.0]])


@pytest.mark.parametrize("batches", [(3,), (1, 2), (1, 1, 1), (0, 3)])
def test_tokens_count_alike_in_every_batch(batches):
    metric = TokenMetrics()
    for rows in ROWS.split(batches):
        metric.update(rows)
    figures = metric.compute()
    assert figures["loss"] == pytest.approx(15.5 / 8)
    assert figures["perplexity"] == pytest.approx(math.exp(15.5 / 8))
    assert figures["token_accuracy"] == 3 / 8


def test_without_tokens_there_are_no_figures():
    metric = TokenMetrics()
    metric.update(torch.zeros(2, 3))
    assert metric.compute() == {}


def test_a_perplexity_beyond_floats_is_infinite():
    metric = TokenMetrics()
    metric.update(torch.tensor([[5000.0, 0.0, 2.0]]))
    assert metric.compute()["perplexity"] == math.inf
