"""Hard-concrete gates against their definition."""

import math

import pytest
import torch

from dylora.methods.hard_concrete import fixed_gates, open_probability, sample_gates

LOCATIONS = [-4.0, -1.6, -0.5, 0.0, 0.7, 2.0, 5.0]
DRAWS = 200_000


def _gate(u, log_alpha):
    """One gate as the paper prints it, in Python's own floats."""
    s = 1 / (1 + math.exp(-(math.log(u) - math.log(1 - u) + log_alpha) / (2 / 3)))
    return min(1.0, max(0.0, s * (1.1 - (-0.1)) + (-0.1)))


@pytest.mark.parametrize("log_alpha", LOCATIONS)
def test_samples_follow_the_definition(log_alpha, monkeypatch):
    uniform = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand_like", lambda like: uniform.to(like))
    found = sample_gates(torch.full((999,), log_alpha, dtype=torch.float64))
    assert found.tolist() == pytest.approx([_gate(u, log_alpha) for u in uniform.tolist()], abs=1e-12)


@pytest.mark.parametrize("log_alpha", LOCATIONS)
def test_probability_of_an_open_gate_is_its_frequency(log_alpha):
    draws = sample_gates(torch.full((DRAWS,), log_alpha))
    expected = float(open_probability(torch.tensor(log_alpha)))
    spread = math.sqrt(max(expected * (1 - expected), 1e-9) / DRAWS)
    assert (draws > 0).double().mean().item() == pytest.approx(expected, abs=5 * spread + 1e-5)
    assert draws.min() >= 0
    assert draws.max() <= 1


@pytest.mark.parametrize(("log_alpha", "gate"), [(-2.4, 0.0), (0.0, 0.5), (2.4, 1.0), (-50.0, 0.0), (50.0, 1.0)])
def test_fixed_gates_are_the_stretched_sigmoid(log_alpha, gate):
    assert fixed_gates(torch.tensor(log_alpha)).item() == pytest.approx(gate, abs=1e-6)


def test_gates_at_the_ends_of_the_uniform_law_are_finite(monkeypatch):
    monkeypatch.setattr(torch, "rand_like", lambda like: torch.tensor([0.0, 1.0]))
    location = torch.zeros(2, requires_grad=True)
    gates = sample_gates(location)
    gates.sum().backward()
    assert gates.tolist() == [0.0, 1.0]
    assert torch.isfinite(location.grad).all()
