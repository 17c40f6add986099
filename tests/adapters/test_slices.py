"""Slices of an output: which columns they are, and adding to them with and without a gradient."""

import pytest
import torch

from dylora.adapters.slices import OutputSlice, add_to_slices, in_every_group, side_by_side


def columns(place, d_out):
    return place.of(torch.arange(d_out)).tolist()


def test_side_by_side_is_one_group():
    slices = side_by_side(q=4, k=1, v=1)
    assert {name: columns(place, 6) for name, place in slices.items()} == {"q": [[0, 1, 2, 3]], "k": [[4]], "v": [[5]]}


def test_in_every_group_takes_the_same_part_of_each():
    slices = in_every_group(2, q=2, k=1, v=1)
    assert columns(slices["q"], 8) == [[0, 1], [4, 5]]
    assert columns(slices["v"], 8) == [[3], [7]]
    assert slices["q"].features == 4


def case(dtype=torch.float64):
    torch.manual_seed(0)
    output, part = torch.randn(2, 3, 8, dtype=dtype), torch.randn(2, 3, 4, dtype=dtype)
    return output, OutputSlice(groups=2, start=1, width=2), part  # columns 1, 2, 5, 6


def added(output, part):
    expected = output.clone()
    for index, column in enumerate([1, 2, 5, 6]):
        expected[..., column] = output[..., column] + part[..., index]
    return expected


def test_without_a_gradient_it_is_added_in_place():
    output, place, part = case()
    expected = added(output, part)
    with torch.no_grad():
        assert add_to_slices(output, [place], [part]) is output
    assert torch.equal(output, expected)


@pytest.mark.parametrize("frozen", [True, False])
def test_with_a_gradient_the_output_is_kept_and_the_gradient_is_that_of_the_sum(frozen):
    output, place, part = case()
    output.requires_grad_(not frozen)
    part.requires_grad_()
    before = output.detach().clone()
    result = add_to_slices(output, [place], [part])
    assert torch.equal(result, added(before, part.detach()))
    assert torch.equal(output, before)
    weights = torch.arange(48.0, dtype=torch.float64).view(2, 3, 8)
    (result * weights).sum().backward()
    assert torch.equal(part.grad, weights[..., [1, 2, 5, 6]])
    assert frozen or torch.equal(output.grad, weights)


def test_first_and_second_derivatives_are_those_of_finite_differences():
    output, place, part = case()
    output.requires_grad_(), part.requires_grad_()

    def squared(output, part):
        return add_to_slices(output, [place], [part]) ** 3

    assert torch.autograd.gradcheck(squared, (output, part))
    assert torch.autograd.gradgradcheck(squared, (output, part))


def test_a_part_of_another_type_is_added_in_the_outputs_and_gets_a_gradient_of_its_own():
    output, place, part = case(torch.float32)
    part.requires_grad_()
    result = add_to_slices(output.bfloat16(), [place], [part])
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, added(output.bfloat16(), part.bfloat16()))
    result.float().sum().backward()
    assert part.grad.dtype == torch.float32


def test_it_works_under_torchs_function_transforms():
    output, place, part = case()
    expected = torch.zeros_like(part) + 1
    assert torch.equal(torch.func.grad(lambda p: add_to_slices(output, [place], [p]).sum())(part), expected)
    rows = torch.func.vmap(lambda o, p: add_to_slices(o, [place], [p]))(output, part)
    assert torch.equal(rows, added(output, part))
