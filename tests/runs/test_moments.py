"""An optimizer takes no state of other parameters."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from dylora.adapters.optim import RowExactAdamW
from dylora.errors import InputError
from dylora.runs.moments import check_moments

OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.1),
    "row_exact": lambda groups: RowExactAdamW(groups, lr=0.1, updated_rows=lambda: slice(0, 2)),
}


@pytest.fixture(params=OPTIMIZERS)
def optimizer(request):
    """With moments of one step: (4, 3) with ranks in dimension 0, (3,) without ranks, and one more without a step."""
    groups = [([nn.Parameter(torch.ones(4, 3))], 0), ([nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))], None)]
    made = OPTIMIZERS[request.param]([{"params": each, "rank_dim": dim} for each, dim in groups])
    for each in (groups[0][0][0], groups[1][0][0]):
        each.grad = torch.ones_like(each)
    made.step()
    made.register_load_state_dict_pre_hook(check_moments)
    return made


def test_its_own_state_is_taken_and_so_is_an_empty_one(optimizer):
    optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
    optimizer.load_state_dict({**optimizer.state_dict(), "state": {}})


CHANGES = {
    "shape": (lambda s: s["state"][0].update(exp_avg=torch.zeros(3, 3)), r"exp_avg has shape \(3, 3\) in the place of"),
    "transposed": (lambda s: s["state"][0].update(exp_avg_sq=torch.zeros(3, 4)), r"exp_avg_sq has shape \(3, 4\)"),
    "moment missing": (lambda s: s["state"][1].pop("exp_avg_sq"), "exp_avg_sq is missing"),
    "no tensor": (lambda s: s["state"][0].update(exp_avg=3), "exp_avg is missing or no tensor"),
    "whole numbers": (lambda s: s["state"][0].update(exp_avg=torch.zeros(4, 3).long()), "exp_avg is missing or no"),
    "negative square": (lambda s: s["state"][0].update(exp_avg_sq=-torch.ones(4, 3)), "exp_avg_sq is negative"),
    "step": (lambda s: s["state"][0].update(step="one"), "number of steps"),
    "negative step": (lambda s: s["state"][0].update(step=torch.tensor(-1.0)), "number of steps"),
    "no step": (lambda s: s["state"][0].pop("step"), "number of steps"),
    "of no parameter": (lambda s: s["state"].update({7: s["state"][0]}), "moments of no parameter"),
    "group": (lambda s: s["param_groups"].pop(), r"\[1\] parameters in the place of \[1, 2\]"),
    "parameter": (lambda s: s["param_groups"][1]["params"].pop(), r"\[1, 1\] parameters in the place of \[1, 2\]"),
    "groups": (lambda s: s.update(param_groups=3), "no groups"),
    "no params": (lambda s: s["param_groups"][0].pop("params"), r"\[-1, 2\] parameters"),
    "rate": (lambda s: s["param_groups"][0].update(lr="x"), "lr of the optimizer is 'x'"),
    "no rate": (lambda s: s["param_groups"][0].pop("lr"), "lr of the optimizer is None"),
    "infinite": (
        lambda s: s["param_groups"][0].update(weight_decay=float("inf")),
        "weight_decay of the optimizer is inf",
    ),
    "betas": (lambda s: s["param_groups"][0].update(betas=()), r"betas of the optimizer is \(\)"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_state_is_refused_and_the_optimizers_own_stays(optimizer, name):
    change, words = CHANGES[name]
    before = deepcopy(optimizer.state_dict())
    state = deepcopy(before)
    change(state)
    with pytest.raises(InputError, match=words):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert torch.equal(after["state"][0]["exp_avg"], before["state"][0]["exp_avg"])
