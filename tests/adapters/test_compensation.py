"""Longer steps for rows that few ranks train."""

import pytest
import torch
from torch import nn

from dylora.adapters.compensation import reach, scale_steps, step_factors
from dylora.adapters.optim import RowExactAdamW
from dylora.adapters.ranks import RankRange


def test_share_of_steps_that_train_each_row():
    law = (0.5, 0.25, 0.25)
    expected = [sum(p for b, p in zip((2, 4, 6), law, strict=True) if b >= j) for j in range(1, 7)]
    assert reach(RankRange(2, 6, 2), law).tolist() == pytest.approx(expected)


def test_factor_of_a_row_is_one_over_its_share_and_at_most_the_cap():
    shares = torch.tensor([1.0, 0.5, 0.25, 0.0])
    assert step_factors(shares, 3.0).tolist() == [1.0, 2.0, 3.0, 3.0]


def _train(A, B, make, steps=5):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        grad_A, grad_B = torch.randn(A.shape, generator=generator), torch.randn(B.shape, generator=generator)
        make(grad_A, grad_B)


def test_it_is_a_torch_adamw_for_each_row_with_a_learning_rate_of_its_own():
    torch.manual_seed(0)
    A, B, factors = nn.Parameter(torch.randn(3, 5)), nn.Parameter(torch.randn(4, 3)), (1.0, 1.5, 3.0)
    rows = [nn.Parameter(A[j].detach().clone()) for j in range(3)]
    columns = [nn.Parameter(B[:, j].detach().clone()) for j in range(3)]
    alone = [
        torch.optim.AdamW([row, column], lr=1e-2 * factor, weight_decay=0.1)
        for row, column, factor in zip(rows, columns, factors, strict=True)
    ]
    groups = [{"params": [A], "rank_dim": 0}, {"params": [B], "rank_dim": 1}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.1)
    scale_steps(optimizer, lambda: torch.tensor(factors))

    def step(grad_A, grad_B):
        A.grad, B.grad = grad_A, grad_B
        optimizer.step()
        for j in range(3):
            rows[j].grad, columns[j].grad = grad_A[j].clone(), grad_B[:, j].clone()
            alone[j].step()

    _train(A, B, step)
    torch.testing.assert_close(A.detach(), torch.stack([row.detach() for row in rows]))
    torch.testing.assert_close(B.detach(), torch.stack([column.detach() for column in columns], 1))


def test_rows_with_factor_1_keep_the_optimizers_bits_and_others_outside_a_row_exact_step_do_not_move():
    torch.manual_seed(0)
    start = torch.randn(4, 6)
    results = []
    for factors in (None, torch.tensor([1.0, 2.0, 4.0, 4.0])):
        A = nn.Parameter(start.clone())
        optimizer = RowExactAdamW([{"params": [A], "rank_dim": 0}], 1e-2, updated_rows=lambda: slice(0, 3))
        if factors is not None:
            scale_steps(optimizer, lambda factors=factors: factors)
        A.grad = torch.ones_like(A)
        optimizer.step()
        results.append(A.detach())
    plain, scaled = results
    assert torch.equal(scaled[0], plain[0])
    torch.testing.assert_close(scaled[1] - start[1], 2 * (plain[1] - start[1]), rtol=1e-4, atol=1e-7)
    assert torch.equal(scaled[3], start[3])
