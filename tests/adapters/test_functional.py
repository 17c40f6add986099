"""Eq. 7 on plain tensors: values and gradients against the literal reference."""

import jaxtyping
import pytest
import reference
import torch

from dylora.adapters.functional import SCALINGS, row_weights, rowwise_product, scale, truncated_product

MAX_RANK, D_IN, D_OUT, ALPHA = 4, 6, 5, 12.0
RANKS = range(1, MAX_RANK + 1)
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def tensors(*shape, dtype=torch.float64):
    x = torch.randn(*shape, D_IN, dtype=dtype, requires_grad=True)
    a = torch.randn(MAX_RANK, D_IN, dtype=dtype, requires_grad=True)
    b = torch.randn(D_OUT, MAX_RANK, dtype=dtype, requires_grad=True)
    return x, a, b


def product(x, a, b, rank, scaling, frozen=False):
    return truncated_product(x, a, b, rank, scale(scaling, ALPHA, rank, MAX_RANK), frozen)


def gradients(out, *inputs):
    weights = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view(out.shape)
    return torch.autograd.grad((out * weights).sum(), inputs)


def test_the_scalings_are_the_three_of_the_reference():
    assert set(SCALINGS) == set(reference.SCALINGS)


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("alpha/b", [16.0, 8.0, 5.333333333333333, 4.0]),
        ("alpha/max_rank", [4.0, 4.0, 4.0, 4.0]),
        ("alpha/sqrt(b*max_rank)", [8.0, 5.65685424949238, 4.618802153517006, 4.0]),
    ],
)
def test_scale_at_ranks_1_to_4_with_alpha_16(scaling, expected):
    assert [scale(scaling, 16, b, 4) for b in RANKS] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("scaling", reference.SCALINGS)
@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 3)])
def test_product_and_gradients_match_eq_7(scaling, rank, shape):
    inputs = tensors(*shape)
    fast = product(*inputs, rank, scaling)
    slow = reference.low_rank(*inputs, rank, ALPHA, scaling)
    torch.testing.assert_close(fast, slow, **EXACT)
    torch.testing.assert_close(gradients(fast, *inputs), gradients(slow, *inputs), **EXACT)


@pytest.mark.parametrize("scaling", reference.SCALINGS)
@pytest.mark.parametrize("rank", RANKS)
def test_product_matches_eq_7_in_float32(scaling, rank):
    inputs = tensors(2, 3, dtype=torch.float32)
    fast = product(*inputs, rank, scaling)
    slow = reference.low_rank(*(t.double() for t in inputs), rank, ALPHA, scaling)
    torch.testing.assert_close(fast.double(), slow, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", RANKS)
def test_rows_above_the_rank_get_a_gradient_of_exactly_zero(rank):
    inputs = tensors(3)
    _, grad_a, grad_b = gradients(product(*inputs, rank, "alpha/b"), *inputs)
    assert torch.equal(grad_a[rank:], torch.zeros(MAX_RANK - rank, D_IN, dtype=torch.float64))
    assert torch.equal(grad_b[:, rank:], torch.zeros(D_OUT, MAX_RANK - rank, dtype=torch.float64))
    assert grad_a[:rank].abs().min() > 0
    assert grad_b[:, :rank].abs().min() > 0


@pytest.mark.parametrize("rank", RANKS)
def test_frozen_mode_has_the_same_value_and_gradients_at_row_b_alone(rank):
    x, a, b = tensors(3)
    frozen, free = product(x, a, b, rank, "alpha/b", frozen=True), product(x, a, b, rank, "alpha/b")
    assert torch.equal(frozen, free)
    frozen_x, frozen_a, frozen_b = gradients(frozen, x, a, b)
    slow_x, slow_a, slow_b = gradients(reference.low_rank(x, a, b, rank, ALPHA, "alpha/b"), x, a, b)
    torch.testing.assert_close(frozen_x, slow_x, **EXACT)
    for k in RANKS:
        expected_a, expected_b = (slow_a[k - 1], slow_b[:, k - 1]) if k == rank else (0 * a[0], 0 * b[:, 0])
        torch.testing.assert_close(frozen_a[k - 1], expected_a, **EXACT)
        torch.testing.assert_close(frozen_b[:, k - 1], expected_b, **EXACT)
    others = [k for k in range(MAX_RANK) if k != rank - 1]
    assert torch.count_nonzero(frozen_a[others]) == 0
    assert torch.count_nonzero(frozen_b[:, others]) == 0


def test_row_weights_are_the_factor_up_to_the_rank_then_zero():
    factors = torch.tensor([8.0, 4.0, 3.0, 2.0])
    expected = torch.tensor([[3.0, 3.0, 3.0, 0.0], [8.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    assert torch.equal(row_weights(torch.tensor([3, 1, 4]), factors), expected)


@pytest.mark.parametrize("scaling", reference.SCALINGS)
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)])
def test_a_rank_per_row_equals_the_rows_one_by_one(scaling, shape):
    inputs = tensors(*shape)
    x, a, b = inputs
    ranks = [4, 1, 3, 3, 2]
    factors = torch.tensor([reference.SCALINGS[scaling](ALPHA, k, MAX_RANK) for k in RANKS], dtype=torch.float64)
    fast = rowwise_product(x, a, b, row_weights(torch.tensor(ranks), factors))
    slow = torch.stack([reference.low_rank(x[i], a, b, rank, ALPHA, scaling) for i, rank in enumerate(ranks)])
    torch.testing.assert_close(fast, slow, **EXACT)
    torch.testing.assert_close(gradients(fast, *inputs), gradients(slow, *inputs), **EXACT)


def test_a_row_gives_no_gradient_to_the_ranks_above_its_own():
    x, a, b = tensors(3)
    weights = row_weights(torch.tensor([2, 1, 2]), torch.ones(MAX_RANK, dtype=torch.float64))
    grad_a, grad_b = gradients(rowwise_product(x, a, b, weights), a, b)
    assert torch.count_nonzero(grad_a[2:]) == 0
    assert torch.count_nonzero(grad_b[:, 2:]) == 0


def test_under_autocast_a_rank_per_row_is_bit_equal_to_one_rank():
    x, a, b = tensors(4, dtype=torch.float32)
    factor = 16 / 3  # not a bfloat16 number
    weights = row_weights(torch.full((4,), 3), torch.tensor([16.0, 8.0, factor, 4.0]))
    b = torch.cat([b[:, :3], torch.zeros(D_OUT, 1)], dim=1)  # the same products in both, so the same sums
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rowwise_product(x, a, b, weights), truncated_product(x, a, b, 3, factor))


def test_a_non_contiguous_input_gives_what_a_contiguous_one_gives():
    _, a, b = tensors(1)
    x = torch.randn(D_IN, 3, 2, dtype=torch.float64).permute(2, 1, 0)
    assert not x.is_contiguous()
    expected = reference.low_rank(x.contiguous(), a, b, 2, ALPHA, "alpha/b")
    torch.testing.assert_close(product(x, a, b, 2, "alpha/b"), expected, **EXACT)
    weights = row_weights(torch.tensor([2, 2]), torch.full((MAX_RANK,), ALPHA / 2, dtype=torch.float64))
    torch.testing.assert_close(rowwise_product(x, a, b, weights), expected, **EXACT)


def test_wrong_shapes_are_caught_in_the_tests():
    x, a, b = tensors(3)
    with pytest.raises(jaxtyping.TypeCheckError):
        truncated_product(x, a, b.T, 2, 1.0)
