"""Factorised layers: they start as what they replace, and a closed gate removes its component."""

import math

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.pytorch_utils import Conv1D

from dylora.errors import InputError
from dylora.methods.gated_linear import GatedLinear, factorise, gated_layers

CAUSAL, SEQ2SEQ = AutoModelForCausalLM, AutoModelForSeq2SeqLM


def _conv(d_in, d_out):
    conv = Conv1D(d_out, d_in)
    nn.init.normal_(conv.weight)
    nn.init.normal_(conv.bias)
    return conv


@pytest.mark.parametrize(
    "layer", [nn.Linear(5, 9), nn.Linear(9, 5), nn.Linear(6, 6, bias=False), _conv(5, 9), _conv(9, 5)]
)
def test_it_starts_as_the_layer(layer):
    gated = GatedLinear(layer).eval()
    x = torch.randn(2, 3, gated.in_features)
    torch.testing.assert_close(gated(x), layer(x), rtol=1e-5, atol=1e-5)
    dense = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
    torch.testing.assert_close(gated.weight, dense, rtol=1e-5, atol=1e-5)
    assert gated.rank == min(gated.in_features, gated.out_features)


def test_a_closed_gate_removes_its_component_and_a_half_open_one_halves_it():
    layer = nn.Linear(5, 4)
    gated = GatedLinear(layer).eval()
    with torch.no_grad():
        gated.log_alpha.copy_(torch.tensor([-9.0, 9.0, 0.0, -2.5]))  # gates 0, 1, 1/2, 0
    u, s, vh = torch.linalg.svd(layer.weight.detach().double(), full_matrices=False)
    expected = s[1] * torch.outer(u[:, 1], vh[1]) + 0.5 * s[2] * torch.outer(u[:, 2], vh[2])
    x = torch.randn(7, 5)
    out = x.double() @ expected.T + layer.bias.detach().double()
    torch.testing.assert_close(gated(x).double(), out, rtol=1e-5, atol=1e-5)
    assert gated.rank == 2
    gated.up.data[:, [0, 3]] = 1e6  # what is pruned may be anything
    torch.testing.assert_close(gated(x).double(), out, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("location", [-1.5, 0.0, 1.0])
def test_in_evaluation_as_many_are_open_as_are_expected_to_be_the_largest_first(location):
    gated = GatedLinear(nn.Linear(200, 100))
    order = torch.randperm(100, generator=torch.Generator().manual_seed(2))
    locations = location + order / 1000  # all nearly alike, as after a short training
    with torch.no_grad():
        gated.log_alpha.copy_(locations)
    bias = (2 / 3) * math.log(0.1 / 1.1)
    expected = sum(1 / (1 + math.exp(-(value - bias))) for value in locations.tolist())
    assert gated.rank == math.ceil(expected)
    closed = gated.fixed_gates == 0
    assert closed.sum() == 100 - math.ceil(expected)
    assert order[closed].max() < order[~closed].min()


def test_sampling_happens_in_training_alone_and_follows_torchs_generator():
    gated = GatedLinear(nn.Linear(30, 30))
    nn.init.zeros_(gated.log_alpha)
    x = torch.randn(2, 30)
    torch.manual_seed(5)
    first, second = gated(x), gated(x)
    torch.manual_seed(5)
    assert torch.equal(gated(x), first)
    assert not torch.equal(first, second)
    gated.eval()
    state = torch.get_rng_state()
    assert torch.equal(gated(x), gated(x))
    assert torch.equal(torch.get_rng_state(), state)


def test_expected_parameters_are_the_mean_of_sampled_counts():
    gated = GatedLinear(nn.Linear(6, 4))
    locations = [-3.0, -1.0, 0.0, 2.0]
    with torch.no_grad():
        gated.log_alpha.copy_(torch.tensor(locations))
    generator = torch.Generator().manual_seed(3)
    u = torch.rand(100_000, 4, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    s = torch.sigmoid((u.log() - (1 - u).log() + torch.tensor(locations, dtype=torch.float64)) / (2 / 3))
    count = ((s * 1.2 - 0.1) > 0).double().sum(1).mean().item() * (6 + 4)
    assert gated.expected_parameters.item() == pytest.approx(count, rel=0.01)
    by_hand = sum(1 / (1 + math.exp(-(a - (2 / 3) * math.log(0.1 / 1.1)))) for a in locations) * 10
    assert gated.expected_parameters.item() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("family", "auto", "count"),
    [
        ("bert", None, 2 * 6),  # query, key, value, output; two of the feed-forward part
        ("roberta", None, 2 * 6),
        ("distilbert", None, 2 * 6),
        ("deberta-v2", None, 2 * 6),
        ("albert", None, 6),  # all its layers share one set
        ("gpt2", CAUSAL, 2 * 4),
        ("llama", CAUSAL, 2 * 7),
        ("t5", SEQ2SEQ, 2 * 6 + 2 * 10),
        ("bart", SEQ2SEQ, 2 * 6 + 2 * 10),
    ],
)
@torch.no_grad()
def test_a_factorised_model_starts_as_the_pretrained_one(make_model, token_ids, family, auto, count):
    model = make_model(family, *([auto] if auto else []))
    inputs = {"input_ids": token_ids, **({"decoder_input_ids": token_ids} if auto is SEQ2SEQ else {})}
    expected = model(**inputs).logits
    untouched = {name for name, module in model.named_modules() if isinstance(module, nn.Embedding | nn.LayerNorm)}
    factorise(model)
    model.eval()
    layers = gated_layers(model)
    assert len(layers) == count
    assert not [name for name in layers if "classifier" in name or "lm_head" in name or "pooler" in name]
    assert untouched == {n for n, module in model.named_modules() if isinstance(module, nn.Embedding | nn.LayerNorm)}
    torch.testing.assert_close(model(**inputs).logits, expected, rtol=1e-4, atol=1e-5)


def test_a_layer_at_two_names_stays_one():
    model = nn.Module()
    layer = nn.Linear(4, 4)
    model.layers = nn.ModuleList([layer, layer])
    factorise(model)
    assert model.layers[0] is model.layers[1]


def test_a_model_without_stacks_is_refused():
    with pytest.raises(InputError, match=r"model.method: must be FLOP for a model with stacks of layers, got Linear"):
        factorise(nn.Linear(3, 3))
