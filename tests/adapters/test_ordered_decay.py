"""A decay that rises with the row, in the loss and beside it."""

import pytest
import reference
import torch
from torch import nn

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.optim import RowExactAdamW, parameter_groups
from dylora.adapters.ordered_decay import decay_after_steps, ordered_penalty, rise

SHAPES = ("linear", "sqrt", "log", "quadratic")


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = DyLoRAConfig(max_rank=4, target_modules=["0", "1"])
    model = adapt(nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3)), config)
    for pair in _pairs(model):
        nn.init.normal_(pair.lora_B)
    return model


def _pairs(model):
    return [module for module in model.modules() if isinstance(module, LowRankFactors)]


@pytest.mark.parametrize("shape", SHAPES)
def test_rise_of_each_row(shape):
    assert rise(shape, 6).tolist() == pytest.approx([reference.RISES[shape](j) for j in range(1, 7)])


@pytest.mark.parametrize("shape", SHAPES)
def test_penalty_and_its_gradients_are_the_literal_ones(model, shape):
    penalty = ordered_penalty(model, shape)
    penalty.backward()
    expected = [reference.ordered_decay(p.lora_A.detach(), p.lora_B.detach(), shape) for p in _pairs(model)]
    assert penalty.item() == pytest.approx(sum(value for value, _, _ in expected), rel=1e-5)
    for pair, (_, grad_A, grad_B) in zip(_pairs(model), expected, strict=True):
        torch.testing.assert_close(pair.lora_A.grad, grad_A)
        torch.testing.assert_close(pair.lora_B.grad, grad_B)
        assert not pair.lora_A.grad[0].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_decoupled_it_multiplies_each_row_behind_the_optimizers_step(model, shape):
    optimizer = torch.optim.SGD(parameter_groups(model, 0.0), lr=0.1)
    decay_after_steps(optimizer, 0.3, shape)
    for pair in _pairs(model):
        pair.lora_A.grad, pair.lora_B.grad = torch.ones_like(pair.lora_A), torch.ones_like(pair.lora_B)
    stepped = [(p.lora_A.detach() - 0.1, p.lora_B.detach() - 0.1) for p in _pairs(model)]
    optimizer.step()
    for pair, (A, B) in zip(_pairs(model), stepped, strict=True):
        expected_A, expected_B = reference.decoupled_decay(A, B, 0.1, 0.3, shape)
        torch.testing.assert_close(pair.lora_A.detach(), expected_A)
        torch.testing.assert_close(pair.lora_B.detach(), expected_B)


def _without_slope(model):
    for pair in _pairs(model):
        pair.lora_A.grad, pair.lora_B.grad = torch.zeros_like(pair.lora_A), torch.zeros_like(pair.lora_B)


def test_a_factor_below_zero_is_zero(model):
    optimizer = torch.optim.SGD(parameter_groups(model, 0.0), lr=1.0)
    decay_after_steps(optimizer, 2.0, "linear")
    _without_slope(model)
    optimizer.step()
    for pair in _pairs(model):
        assert not pair.lora_A[1:].any()
        assert pair.lora_A[0].any()


def test_rows_that_a_row_exact_step_does_not_train_keep_their_bits(model):
    optimizer = RowExactAdamW(parameter_groups(model, 0.0), lr=0.1, updated_rows=lambda: slice(0, 2))
    decay_after_steps(optimizer, 0.3, "linear", lambda: slice(0, 2))
    before = [(p.lora_A.detach().clone(), p.lora_B.detach().clone()) for p in _pairs(model)]
    _without_slope(model)
    optimizer.step()  # nothing but the decay moves
    for pair, (A, B) in zip(_pairs(model), before, strict=True):
        assert torch.equal(pair.lora_A[2:], A[2:])
        assert torch.equal(pair.lora_B[:, 2:], B[:, 2:])
        torch.testing.assert_close(pair.lora_A[1].detach(), A[1] * (1 - 0.1 * 0.3))


def test_other_parameters_are_left_alone(model):
    model[0].base_layer.bias.requires_grad_(True)
    optimizer = torch.optim.SGD(parameter_groups(model, 0.0), lr=0.1)
    decay_after_steps(optimizer, 0.3, "linear")
    before = model[0].base_layer.bias.detach().clone()
    optimizer.step()
    assert torch.equal(model[0].base_layer.bias, before)
