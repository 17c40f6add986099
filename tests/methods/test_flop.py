"""FLOP: the expected size, what drives it to the target, and what is reported."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.optim import linear_warmup
from dylora.errors import InputError
from dylora.methods.flop import FLOP, expected_size
from dylora.methods.gated_linear import gated_layers

SHAPES = [(8, 12), (12, 8), (8, 8)]  # (out, in)


class Toy(nn.Module):
    """Three layers in a stack, between an embedding and a head; all widths can be multiplied."""

    def __init__(self, times=1):
        super().__init__()
        self.embedding = nn.Linear(12, 12 * times)
        self.layers = nn.ModuleList(nn.Linear(d_in * times, d_out * times) for d_out, d_in in SHAPES)
        self.head = nn.Linear(8 * times, 3)

    def forward(self, x):
        x = torch.tanh(self.embedding(x))
        x = torch.tanh(self.layers[0](x))
        x = torch.tanh(self.layers[1](x))
        return self.head(torch.tanh(self.layers[2](x[..., : self.layers[2].in_features])))


def _flop(times=1, **options):
    torch.manual_seed(1)
    model, method = Toy(times), FLOP(**options)
    method.prepare(model, DyLoRAConfig())
    method.begin(model)
    return model, method


def _dense():
    return sum(rows * columns for rows, columns in SHAPES)


def _set_gates(model, *locations):
    with torch.no_grad():
        for layer, values in zip(gated_layers(model).values(), locations, strict=True):
            layer.log_alpha.copy_(torch.tensor(values))


def test_expected_size_is_the_sum_over_components_relative_to_the_dense_weights():
    model, _ = _flop()
    locations = [[float(i + j) - 4 for i in range(8)] for j in range(3)]
    _set_gates(model, *locations)
    total = 0.0
    for (rows, columns), values in zip(SHAPES, locations, strict=True):
        for value in values:
            total += (rows + columns) / (1 + math.exp(-(value - (2 / 3) * math.log(0.1 / 1.1))))
    assert expected_size(model).item() == pytest.approx(total / _dense(), rel=1e-5)


def test_expected_size_starts_a_little_below_that_of_all_components():
    model, _ = _flop()
    whole = sum((rows + columns) * min(rows, columns) for rows, columns in SHAPES) / _dense()
    assert whole > 1.7
    assert expected_size(model).item() == pytest.approx(whole, rel=0.02)
    assert expected_size(model).item() < whole


def test_the_target_falls_linearly_from_the_size_at_the_start():
    model, method = _flop(target=0.4, warmup_ratio=0.5)
    start = expected_size(model).item()
    for progress, target in [(0, start), (0.25, (start + 0.4) / 2), (0.5, 0.4), (0.9, 0.4), (1, 0.4)]:
        assert method.target_at(progress) == pytest.approx(target)
    assert _flop(target=0.4, warmup_ratio=0)[1].target_at(0) == pytest.approx(0.4)


def test_the_loss_gains_the_augmented_lagrangian():
    model, method = _flop(target=0.5, warmup_ratio=0)
    with torch.no_grad():
        method.multipliers.copy_(torch.tensor([0.3, 2.0]))
    excess = expected_size(model).item() - 0.5
    loss, figures = method.training_loss(torch.tensor(1.5), model, 0.2)
    assert loss.item() == pytest.approx(1.5 + 0.3 * excess + 10 * 2.0 * excess**2, rel=1e-5)
    assert figures["flop/excess"].item() == pytest.approx(excess, rel=1e-5)
    loss.backward()
    assert method.multipliers.grad.tolist() == pytest.approx([excess, 10 * excess**2], rel=1e-5)


def test_multipliers_ascend_and_gates_descend_with_their_own_rates():
    model, method = _flop(target=0.5, warmup_ratio=0, gate_learning_rate=0.25, multiplier_learning_rate=0.125)
    optimizer = method.optimizer("adamw", model, 1e-3, 0.1)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in parameters} == {id(p) for p in [*model.parameters(), method.multipliers]}
    assert len(parameters) == len({id(p) for p in parameters})
    with torch.no_grad():
        method.multipliers.fill_(1.0)
    excess = expected_size(model).item() - 0.5
    before = [layer.log_alpha.detach().clone() for layer in gated_layers(model).values()]
    method.training_loss(torch.tensor(0.0), model, 0.0)[0].backward()
    optimizer.step()
    ascended = [1 + 0.125 * excess, 1 + 0.125 * 10 * excess**2]  # plain gradient ascent
    assert method.multipliers.tolist() == pytest.approx(ascended, rel=1e-4)
    for layer, old in zip(gated_layers(model).values(), before, strict=True):
        torch.testing.assert_close(layer.log_alpha, old - 0.25, rtol=1e-4, atol=1e-4)  # Adam's first step


@pytest.mark.slow
@pytest.mark.parametrize("target", [0.3, 0.7])
def test_training_drives_the_size_to_the_target_and_keeps_the_task(target):
    model, method = _flop(2, target=target)
    x = torch.randn(256, 12, generator=torch.Generator().manual_seed(0))
    labels = (x[:, 0] + x[:, 1] > 0).long() + (x[:, 2] > 1).long()
    optimizer = method.optimizer("adamw", model, 2e-3, 0.0)
    steps = 600
    schedule = linear_warmup(optimizer, steps, 0.06)
    for step in range(steps):
        loss, _ = method.training_loss(F.cross_entropy(model(x), labels), model, step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    report = method.report(model)
    assert report["expected_size"] == pytest.approx(target, abs=0.05)
    assert report["size"] == pytest.approx(target, abs=0.05)
    model.eval()
    assert (model(x).argmax(-1) == labels).float().mean() > 0.9


def test_the_report_counts_what_a_pruned_model_holds():
    model, method = _flop(target=0.5)
    closed, opened = -9.0, 9.0
    _set_gates(model, [closed] * 5 + [opened] * 3, [opened] * 8, [closed] * 8)
    report = method.report(model)
    assert [matrix["rank"] for matrix in report["matrices"]] == [3, 8, 0]
    literal, dense = 0, 0
    for layer in gated_layers(model).values():
        kept = [i for i, value in enumerate(layer.log_alpha.tolist()) if value == opened]
        literal += layer.up[:, kept].numel() + layer.down[kept].numel()
        dense += (layer.up @ layer.down).numel()
    others = model.embedding, model.head
    rest = sum(p.numel() for module in others for p in module.parameters())
    rest += sum(layer.bias.numel() for layer in gated_layers(model).values())
    assert sum(matrix["parameters"] for matrix in report["matrices"]) == literal == 3 * 20 + 8 * 20
    assert report["parameters"] == rest + literal
    assert report["dense_parameters"] == rest + dense == sum(p.numel() for p in Toy().parameters())
    assert report["size"] == literal / dense
    assert report["matrices"][0] == {
        "name": "layers.0",
        "rows": 8,
        "columns": 12,
        "rank": 3,
        "components": 8,
        "parameters": 60,
        "dense_parameters": 96,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0}, r"model.method.target: must be above 0 and at most 1, got 0;"),
        ({"target": 1.2}, r"model.method.target: must be above 0 and at most 1, got 1.2;"),
        ({"warmup_ratio": -0.1}, r"model.method.warmup_ratio: must be from 0 to 1, got -0.1;"),
        ({"gate_learning_rate": 0}, r"model.method.gate_learning_rate: must be above 0 and at most 100, got 0;"),
        (
            {"multiplier_learning_rate": -1.0},
            r"model.method.multiplier_learning_rate: must be above 0 and at most 1",
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        FLOP(**options)
