"""The formulas of how cost grows, beside torch's own counts of what a layer more adds."""

from dataclasses import replace

import cost_growth
import pytest
import torch
from cost_growth import FLOAT, Sizes, bytes_held, model_of, operations, step_of
from torch.utils.flop_counter import FlopCounterMode

SMALL = Sizes(rows=2, tokens=16, layers=2, width=128, max_rank=8)


def counted(sizes):
    run = step_of(sizes)
    run()
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def attention(sizes):
    """The operations of attention, which torch does not count on a CPU."""
    factor = 4 * sizes.evaluated if sizes.evaluated else 12
    return factor * sizes.rows * sizes.tokens**2 * sizes.width * sizes.layers


@pytest.mark.parametrize("changes", [{}, {"max_rank": 64}, {"evaluated": 3}, {"vocabulary": 500}])
def test_operations_of_a_layer_are_those_that_torch_counts(changes):
    sizes = replace(SMALL, **changes)
    more = replace(sizes, layers=sizes.layers + 1)
    formula = operations(more) - operations(sizes) - attention(more) + attention(sizes)
    if sizes.evaluated:  # a batch is evaluated at ranks 1 to 3, the formula takes the largest one
        formula -= 8 * sizes.width * sizes.rows * sizes.tokens * sum(sizes.max_rank - rank for rank in (1, 2, 3))
    assert counted(more) - counted(sizes) == formula


def kept(sizes):
    """Bytes that the backward pass has kept, but for the weights."""
    model = model_of(sizes)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = (storage.nbytes(), tensor)  # the tensor too, so that its place is not used again
        return tensor

    ids = torch.randint(3, 1000, (sizes.rows, sizes.tokens))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum()
    assert loss.requires_grad
    return sum(size for place, (size, _) in found.items() if place not in weights)


@pytest.mark.parametrize("max_rank", [1, 64])
def test_bytes_of_a_layer_are_those_that_the_backward_pass_keeps(max_rank):
    sizes = replace(SMALL, max_rank=max_rank)
    more = replace(sizes, layers=sizes.layers + 1)
    of_weights = FLOAT * (12 * sizes.width**2 + 4 * 4 * sizes.width * max_rank)
    formula = bytes_held(more) - bytes_held(sizes) - of_weights
    assert kept(more) - kept(sizes) == pytest.approx(formula, rel=0.02)  # means and norms: four numbers a token


def test_every_size_has_a_plot_and_a_title():
    assert set(cost_growth.GROWTHS) == set(cost_growth.TITLES) == set(Sizes.__annotations__) - {"rows"}
