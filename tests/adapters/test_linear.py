"""Which modules count as linear maps: by the class whose forward they run, never by their attributes."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from dylora.adapters.linear import as_weight, device_of, features, is_linear_like


class Subclass(nn.Linear):
    """Keeps the forward."""


class Router(nn.Linear):
    """Has all attributes of a linear layer and returns a tuple."""

    def forward(self, x):
        return super().forward(x), x


class Attributes(nn.Module):
    """A weight and two sizes, and no forward that is known."""

    in_features, out_features = 4, 2

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.zeros(2, 4, dtype=torch.int8))

    def forward(self, x):
        return x @ self.weight.T


def quantised(module, name):
    """A class as a quantisation library has it: a packed weight under another name, and a forward of its own."""
    attributes = {"__module__": module, "in_features": 8, "out_features": 6, "forward": lambda self, x: x[..., :6]}
    layer = type(name, (nn.Module,), attributes)()
    layer.register_buffer("qweight", torch.zeros(1, 6, dtype=torch.int32, device="meta"))
    return layer


@pytest.mark.parametrize(
    "layer", [nn.Linear(4, 2), Subclass(4, 2), Conv1D(2, 4)], ids=lambda layer: type(layer).__name__
)
def test_a_linear_layer_and_its_subclasses_that_keep_the_forward_are_linear(layer):
    assert is_linear_like(layer)
    assert features(layer) == (4, 2)


def test_falcons_own_linear_layer_is_one():
    from transformers.models.falcon.modeling_falcon import FalconLinear

    layer = FalconLinear(4, 2)
    assert is_linear_like(layer)
    x = torch.randn(3, 4)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("bitsandbytes.nn.modules", "Linear4bit"),
        ("gptqmodel.nn_modules.qlinear.torch", "TorchQuantLinear"),
        ("awq.modules.linear.gemm", "WQLinear_GEMM"),
        ("torchao.float8.float8_linear", "Float8Linear"),
        ("transformers.integrations.finegrained_fp8", "FP8Linear"),
    ],
)
def test_quantised_layers_are_linear_and_their_packed_weight_says_nothing_of_their_sizes(module, name):
    layer = quantised(module, name)
    assert is_linear_like(layer)
    assert features(layer) == (8, 6)
    assert device_of(layer).type == "meta"


@pytest.mark.parametrize(
    "layer",
    [
        Router(4, 2),
        Attributes(),
        nn.Embedding(4, 2),
        nn.LayerNorm(4),
        nn.Bilinear(4, 4, 2),
        nn.Conv1d(4, 2, 1),
        nn.LazyLinear(2),
        nn.MultiheadAttention(4, 2).out_proj,
        quantised("bitsandbytes.nn.modules", "Embedding4bit"),
        quantised("transformers.integrations.finegrained_fp8", "FP8GroupedLinear"),
        quantised("my_package", "MyLinear"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_whatever_else_has_such_attributes_is_not(layer):
    assert not is_linear_like(layer)


def test_a_parametrized_layer_is_still_one():
    assert is_linear_like(nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)))


def test_a_change_of_the_weight_lies_as_the_weight_does():
    for layer in (nn.Linear(4, 2), Conv1D(2, 4)):
        assert as_weight(torch.zeros(2, 4), layer).shape == layer.weight.shape
