"""Another basis of the components: what stays, and the gradient in it against autograd through the inverse."""

import pytest
import reference
import torch

from dylora.adapters.basis import acting, basis_gradient, rebased
from dylora.adapters.ranks import RankRange


def test_the_product_stays_and_lower_ranks_are_the_oblique_projections():
    a, b = torch.randn(5, 9, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    basis = torch.randn(5, 5, dtype=torch.float64)
    new_a, new_b = rebased(a.float(), b.float(), basis)
    torch.testing.assert_close((new_b @ new_a).double(), b @ a, rtol=1e-5, atol=1e-5)
    for rank in range(1, 6):
        expected = reference.cut_in_basis(a, b, basis, rank)
        torch.testing.assert_close((new_b[:, :rank] @ new_a[:rank]).double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_the_gradient_is_that_of_the_literal_formula(rank):
    a, b = torch.randn(5, 9, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    target = torch.randn(7, 9, dtype=torch.float64)

    def loss(product):
        return (product - target).square().sum() + product.sin().sum()

    change = torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    loss(reference.cut_in_basis(a, b, torch.eye(5, dtype=torch.float64) + change, rank)).backward()
    a.requires_grad_(True)
    b.requires_grad_(True)
    loss(b[:, :rank] @ a[:rank]).backward()
    found = basis_gradient(a.detach(), b.detach(), a.grad, b.grad)
    torch.testing.assert_close(found, change.grad, rtol=1e-9, atol=1e-9)
    if rank == 5:  # the largest rank does not depend on the basis
        torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-9)


@pytest.mark.parametrize("ranks", [RankRange(1, 4), RankRange(2, 6, 2), RankRange(3, 5), RankRange(4, 4)])
def test_entries_that_do_not_act_have_no_gradient_at_any_rank_of_the_range(ranks):
    size = ranks.max_rank
    a, b = torch.randn(size, 9, dtype=torch.float64), torch.randn(7, size, dtype=torch.float64)
    reached = torch.zeros(size, size, dtype=torch.bool)
    for rank in ranks:
        change = torch.zeros(size, size, dtype=torch.float64, requires_grad=True)
        product = reference.cut_in_basis(a, b, torch.eye(size, dtype=torch.float64) + change, rank)
        product.square().sum().backward()
        reached |= change.grad.abs() > 1e-9
    assert torch.equal(acting(ranks), reached)
