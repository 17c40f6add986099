"""The adapted layers: Eq. 7, gradients, a rank per row, merging, precision, against the literal reference and PEFT."""

import math

import peft
import pytest
import reference
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.pytorch_utils import Conv1D

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.rank_state import RankState
from dylora.adapters.slices import in_every_group, side_by_side
from dylora.errors import InputError

MAX_RANK, D_IN, D_OUT, ALPHA = 4, 6, 5, 12.0
RANKS = range(1, MAX_RANK + 1)
TOLERANCE = {torch.float64: {"rtol": 1e-11, "atol": 1e-11}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}
PROBABILITIES = [0.4, 0.3, 0.2, 0.1]

each_rank = pytest.mark.parametrize("rank", RANKS)
each_scaling = pytest.mark.parametrize("scaling", reference.SCALINGS)
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)


def fill(module):
    """Random adapters, so that `lora_B` is not zero."""
    for factors in module.modules():
        if isinstance(factors, LowRankFactors):
            nn.init.normal_(factors.lora_A)
            nn.init.normal_(factors.lora_B)
    return module


def linear(scaling="alpha/b", dtype=torch.float64, bias=True, dropout=0.0):
    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling=scaling, dropout=dropout), MAX_RANK)
    layer = AdaptedLayer(nn.Linear(D_IN, D_OUT, bias=bias).requires_grad_(False), state)
    return fill(layer).to(dtype), state


def fused(scaling="alpha/b", dtype=torch.float64, thirds=("q", "v")):
    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling=scaling), MAX_RANK)
    base = Conv1D(3 * D_IN, D_IN)
    nn.init.normal_(base.bias)
    slices = {name: part for name, part in side_by_side(q=D_IN, k=D_IN, v=D_IN).items() if name in thirds}
    layer = AdaptedLayer(base.requires_grad_(False), state, slices)
    return fill(layer).to(dtype), state


def batch(*shape, dtype=torch.float64):
    return torch.randn(*shape, D_IN, dtype=dtype, requires_grad=True)


def slow_linear(layer, x, rank, scaling="alpha/b"):
    f = layer.factors
    base = layer.base_layer
    return reference.linear_forward(x, base.weight, base.bias, f.lora_A, f.lora_B, rank, ALPHA, scaling)


def slow_fused(layer, x, rank, scaling="alpha/b"):
    factors = {name: (f.lora_A, f.lora_B) for name, f in layer.factors.items()}
    return reference.fused_forward(x, layer.base_layer.weight, layer.base_layer.bias, factors, rank, ALPHA, scaling)


def interleaved(scaling="alpha/b", dtype=torch.float64):
    """A linear layer of two heads, each with its query, key and value columns after the other: q k v v v q k v v v."""
    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling=scaling), MAX_RANK)
    slices = in_every_group(2, q=1, k=1, v=3)
    layer = AdaptedLayer(nn.Linear(D_IN, 10).requires_grad_(False), state, {name: slices[name] for name in ("q", "v")})
    return fill(layer).to(dtype), state


def slow_interleaved(layer, x, rank, scaling="alpha/b"):
    products = {n: reference.low_rank(x, f.lora_A, f.lora_B, rank, ALPHA, scaling) for n, f in layer.factors.items()}
    base = layer.base_layer
    q, v, zero = products["q"], products["v"], torch.zeros(x.shape[:-1], dtype=x.dtype)
    q, v = q.unbind(-1), v.unbind(-1)
    added = [q[0], zero, *v[:3], q[1], zero, *v[3:]]
    rows = [(x * base.weight[i, :]).sum(dim=-1) + base.bias[i] + added[i] for i in range(10)]
    return torch.stack(rows, dim=-1)


LAYERS = {
    "linear": (linear, slow_linear),
    "fused": (fused, slow_fused),
    "interleaved": (interleaved, slow_interleaved),
}
each_layer = pytest.mark.parametrize(("make", "slow"), LAYERS.values(), ids=LAYERS.keys())


def loss_of(out):
    """Mean squared distance from fixed targets."""
    targets = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view(out.shape)
    return ((out - targets) ** 2).mean()


def factors_of(layer):
    return [p for p in layer.parameters() if p.requires_grad]


@each_layer
@each_scaling
@each_rank
@each_dtype
def test_forward_loss_and_gradients_match_eq_7(make, slow, scaling, rank, dtype):
    layer, state = make(scaling, dtype)
    x = batch(2, 3, dtype=dtype)
    state.set(rank, frozen=False)
    fast_out, slow_out = layer(x), slow(layer, x, rank, scaling)
    torch.testing.assert_close(fast_out, slow_out, **TOLERANCE[dtype])
    inputs = [x, *factors_of(layer)]
    fast_grads = torch.autograd.grad(reference.individual_loss(lambda b: loss_of(layer(x)), rank), inputs)
    slow_grads = torch.autograd.grad(loss_of(slow_out), inputs)
    torch.testing.assert_close(fast_grads, slow_grads, **TOLERANCE[dtype])


@each_layer
@each_scaling
def test_summation_loss_and_gradients_match_nested_dropout(make, slow, scaling):
    layer, state = make(scaling)
    x = batch(3)
    slow_loss = reference.summation_loss(lambda b: loss_of(slow(layer, x, b, scaling)), PROBABILITIES)
    fast_loss = torch.zeros((), dtype=torch.float64)
    for rank, probability in zip(RANKS, PROBABILITIES, strict=True):
        state.set(rank, frozen=False)
        fast_loss = fast_loss + probability * loss_of(layer(x))
    torch.testing.assert_close(fast_loss, slow_loss, rtol=1e-12, atol=0)
    inputs = [x, *factors_of(layer)]
    expected = torch.autograd.grad(slow_loss, inputs)
    torch.testing.assert_close(torch.autograd.grad(fast_loss, inputs), expected, **TOLERANCE[torch.float64])


@each_layer
@each_rank
def test_summation_loss_in_one_stacked_batch_is_the_same(make, slow, rank):
    """Nested dropout as one forward: the batch once for each rank, a rank for each row."""
    layer, state = make()
    x = batch(3)
    state.set(torch.arange(1, rank + 1).repeat_interleave(3), frozen=False)
    parts = layer(x.repeat(rank, 1)).chunk(rank)
    fast_loss = sum(PROBABILITIES[b] * loss_of(part) for b, part in enumerate(parts))
    slow_loss = reference.summation_loss(lambda b: loss_of(slow(layer, x, b)), PROBABILITIES[:rank])
    inputs = [x, *factors_of(layer)]
    fast_grads, slow_grads = torch.autograd.grad(fast_loss, inputs), torch.autograd.grad(slow_loss, inputs)
    torch.testing.assert_close(fast_grads, slow_grads, rtol=1e-6, atol=1e-6)


@each_layer
@each_rank
def test_frozen_mode_has_the_same_output_and_gradients_at_row_b_alone(make, slow, rank):
    layer, state = make()
    x = batch(3)
    state.set(rank, frozen=False)
    free = layer(x)
    state.set(rank, frozen=True)
    frozen = layer(x)
    assert torch.equal(frozen, free)
    loss_of(frozen).backward()
    expected = torch.autograd.grad(loss_of(slow(layer, x, rank)), factors_of(layer))
    for parameter, full in zip(factors_of(layer), expected, strict=True):
        by_rank, full = (parameter.grad, full) if parameter.shape[0] == MAX_RANK else (parameter.grad.T, full.T)
        torch.testing.assert_close(by_rank[rank - 1], full[rank - 1], **TOLERANCE[torch.float64])
        others = [k for k in range(MAX_RANK) if k != rank - 1]
        assert torch.count_nonzero(by_rank[others]) == 0


@each_layer
@each_rank
def test_rows_above_the_rank_get_a_gradient_of_exactly_zero(make, slow, rank):
    layer, state = make()
    state.set(rank, frozen=False)
    loss_of(layer(batch(3))).backward()
    for parameter in factors_of(layer):
        by_rank = parameter.grad if parameter.shape[0] == MAX_RANK else parameter.grad.T
        assert torch.count_nonzero(by_rank[rank:]) == 0
        assert torch.count_nonzero(by_rank[:rank]) == by_rank[:rank].numel()


@each_layer
@each_scaling
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)])
def test_a_rank_per_row_equals_the_rows_one_by_one(make, slow, scaling, shape):
    layer, state = make(scaling)
    x = batch(*shape)
    ranks = [2, 4, 1, 3, 3]
    state.set(torch.tensor(ranks), frozen=False)
    expected = torch.stack([slow(layer, x[i], rank, scaling) for i, rank in enumerate(ranks)])
    torch.testing.assert_close(layer(x), expected, rtol=1e-6, atol=1e-6)
    inputs = [x, *factors_of(layer)]
    fast_grads, slow_grads = (torch.autograd.grad(loss_of(out), inputs) for out in (layer(x), expected))
    torch.testing.assert_close(fast_grads, slow_grads, rtol=1e-6, atol=1e-6)


@each_layer
def test_rows_repeated_by_beam_search_keep_their_rank(make, slow):
    layer, state = make()
    ranks, beams = torch.tensor([2, 4, 1]), 3
    x = batch(3 * beams, 2)
    state.set(ranks, frozen=False)
    state.repeats = beams
    repeated = layer(x)
    state.set(ranks.repeat_interleave(beams), frozen=False)
    assert torch.equal(repeated, layer(x))


@pytest.mark.parametrize("rows", [1, 4, 6, 9])
def test_a_batch_of_another_number_of_rows_is_refused_even_where_the_ranks_divide_it(rows):
    layer, state = linear()
    state.set(torch.tensor([1, 2, 3]), frozen=False)
    with pytest.raises(InputError, match=f"rank: must be one for each row of the batch, got 3 ranks for {rows} rows"):
        layer(batch(rows))
    with pytest.raises(InputError, match="got 3 ranks for 1 rows"):
        layer(batch(3)[0])


def test_ranks_of_rows_follow_the_model_to_another_device():
    state = linear()[1]
    state.set(torch.tensor([1, 2]), frozen=False)
    assert state.weights_for(torch.empty(2, 3, D_IN, device="meta")).is_meta


@each_rank
def test_the_keys_of_a_fused_projection_are_untouched(rank):
    layer, state = fused()
    state.set(rank, frozen=False)
    x = batch(2, 3)
    keys = slice(D_IN, 2 * D_IN)
    assert torch.equal(layer(x)[..., keys], layer.base_layer(x)[..., keys])
    layer.merge(rank)
    assert torch.equal(layer.base_layer.weight[:, keys], layer._base_weight[:, keys])


@pytest.mark.parametrize("thirds", [("q",), ("k",), ("v", "k"), ("q", "k", "v")])
def test_any_thirds_of_a_fused_projection_can_be_adapted(thirds):
    layer, state = fused(thirds=thirds)
    assert set(layer.factors) == set(thirds)
    state.set(3, frozen=False)
    x = batch(2)
    torch.testing.assert_close(layer(x), slow_fused(layer, x, 3), **TOLERANCE[torch.float64])


def test_a_whole_conv1d_is_a_linear_layer_with_its_weight_transposed():
    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling="alpha/b"), 3)
    layer = fill(AdaptedLayer(Conv1D(D_OUT, D_IN), state)).double()
    f, base, x = layer.factors, layer.base_layer, batch(2, 3)
    expected = reference.linear_forward(x, base.weight.T, base.bias, f.lora_A, f.lora_B, 3, ALPHA, "alpha/b")
    torch.testing.assert_close(layer(x), expected, **TOLERANCE[torch.float64])


class TwoLayers(nn.Module):
    """A linear layer and a Conv1D, for PEFT to adapt."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(D_IN, D_IN)
        self.conv = Conv1D(D_OUT, D_IN)

    def forward(self, x):
        return self.conv(torch.tanh(self.linear(x)))


def peft_lora(model):
    """Each layer under a configuration of its own: fan_in_fan_out says that the weight is (in, out)."""
    common = {"r": MAX_RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0}
    model = peft.get_peft_model(model, peft.LoraConfig(target_modules=["linear"], **common))
    model.add_adapter("conv", peft.LoraConfig(target_modules=["conv"], fan_in_fan_out=True, **common))
    model.base_model.set_adapter(["default", "conv"])
    return model


@each_scaling
def test_at_max_rank_it_is_pefts_lora(scaling):
    base = TwoLayers()
    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling=scaling), MAX_RANK)
    ours = fill(nn.Sequential(AdaptedLayer(base.linear, state), nn.Tanh(), AdaptedLayer(base.conv, state)))
    pairs = [(ours[0].factors, "linear", "default"), (ours[2].factors, "conv", "conv")]
    theirs = peft_lora(base)
    layers = dict(theirs.base_model.model.named_modules())
    with torch.no_grad():
        for factors, layer, adapter in pairs:
            layers[layer].lora_A[adapter].weight.copy_(factors.lora_A)
            layers[layer].lora_B[adapter].weight.copy_(factors.lora_B)
    x = batch(2, 3, dtype=torch.float32)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    for factors, layer, adapter in pairs:
        for name in ("lora_A", "lora_B"):
            their_grad = getattr(layers[layer], name)[adapter].weight.grad
            torch.testing.assert_close(getattr(factors, name).grad, their_grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("init", ["gaussian", "kaiming"])
@pytest.mark.parametrize("d_in", [64, 1024])
def test_lora_a_starts_with_variance_one_over_three_d_in_and_lora_b_at_zero(init, d_in):
    config = DyLoRAConfig(max_rank=512, init=init)
    factors = LowRankFactors(d_in, 3, RankState(config, 8), torch.device("cpu"))
    assert torch.count_nonzero(factors.lora_B) == 0
    assert factors.lora_A.mean().item() == pytest.approx(0, abs=5 / math.sqrt(512 * d_in * 3 * d_in))
    assert factors.lora_A.var().item() * 3 * d_in == pytest.approx(1, abs=0.05)
    bound = 1 / math.sqrt(d_in)  # of the uniform distribution with that variance; 8 % of a Gaussian lie outside
    outside = (factors.lora_A.abs() > bound).float().mean().item()
    assert outside == 0 if init == "kaiming" else outside == pytest.approx(0.0833, abs=0.01)


def test_factors_are_fp32_whatever_the_default_type():
    torch.set_default_dtype(torch.bfloat16)
    try:
        factors = LowRankFactors(4, 3, RankState(DyLoRAConfig(2), 2), torch.device("cpu"))
    finally:
        torch.set_default_dtype(torch.float32)
    assert (factors.lora_A.dtype, factors.lora_B.dtype) == (torch.float32, torch.float32)


def test_dropout_falls_on_the_adapters_input_in_training_alone():
    layer, state = linear(dropout=0.75)
    with torch.no_grad():
        layer.factors.lora_A.fill_(1)
        layer.factors.lora_B.fill_(1)
    state.set(1, frozen=False)
    x = torch.ones(50, D_IN, dtype=torch.float64)
    base = layer.base_layer(x)
    assert torch.equal(layer.eval()(x), base + ALPHA * D_IN)
    kept = (layer.train()(x) - base)[:, 0] / (ALPHA / 0.25)  # how many of the 6 inputs were kept, scaled up by 4
    torch.testing.assert_close(kept, kept.round())
    assert len(kept.round().unique()) > 2
    assert 0 < kept.mean() < 3


@pytest.mark.parametrize("mode", [True, False])
def test_without_dropout_the_forward_draws_no_random_number(mode):
    layer, _ = linear()
    before = torch.get_rng_state()
    layer.train(mode)(batch(2))
    layer.factors(batch(2))
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    batch(2), batch(2)
    assert torch.equal(after, torch.get_rng_state())


@each_layer
@each_scaling
@each_rank
def test_merged_output_equals_the_unmerged_and_unmerge_restores_the_bits(make, slow, scaling, rank):
    layer, state = make(scaling, torch.float32)
    x = batch(2, 3, dtype=torch.float32)
    weight = layer.base_layer.weight
    before = weight.detach().clone()
    state.set(rank, frozen=False)
    unmerged = layer(x)
    layer.merge(rank)
    state.merged_rank = rank
    torch.testing.assert_close(layer(x), unmerged, rtol=1e-4, atol=1e-4)
    assert not torch.equal(layer.base_layer.weight, before)
    layer.unmerge()
    state.merged_rank = None
    assert layer.base_layer.weight is weight
    assert torch.equal(weight, before)
    assert torch.equal(layer(x), unmerged)


def test_a_16_bit_weight_is_merged_in_fp32_and_rounded_once():
    layer, _ = linear(dtype=torch.float32)
    layer.base_layer.to(torch.bfloat16)
    before, f = layer.base_layer.weight.detach().clone(), layer.factors
    layer.merge(3)
    delta = sum(torch.outer(f.lora_B[:, k].double(), f.lora_A[k].double()) for k in range(3)) * ALPHA / 3
    expected = (before.double() + delta).to(torch.bfloat16)
    assert layer.base_layer.weight.dtype == torch.bfloat16
    torch.testing.assert_close(layer.base_layer.weight, expected, rtol=2**-7, atol=0)
    assert (layer.base_layer.weight == expected).float().mean() > 0.9  # fp32 against fp64 may tip a rounding
    layer.unmerge()
    assert torch.equal(layer.base_layer.weight, before)


def test_a_merged_layer_can_move_before_it_is_unmerged():
    layer, _ = linear(dtype=torch.float32)
    before = layer.base_layer.weight.detach().clone()
    layer.merge(2)
    layer.to(torch.float64).unmerge()
    assert layer.base_layer.weight.dtype == torch.float64
    assert torch.equal(layer.base_layer.weight, before.double())
    layer.merge(2)
    layer.to("meta").unmerge()
    assert layer.base_layer.weight.is_meta


def test_the_weight_kept_for_unmerge_is_in_no_checkpoint():
    layer, _ = linear()
    names = set(layer.state_dict())
    layer.merge(2)
    assert set(layer.state_dict()) == names


def test_autocast_computes_in_bf16_and_keeps_adapters_and_gradients_in_fp32():
    layer, state = linear(dtype=torch.float32)
    state.set(3, frozen=False)
    x = batch(8, dtype=torch.float32)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), exact, rtol=0.05, atol=0.3)
    out.float().sum().backward()
    for parameter in factors_of(layer):
        assert (parameter.dtype, parameter.grad.dtype) == (torch.float32, torch.float32)


@each_layer
@pytest.mark.parametrize("ranks", [3, torch.tensor([3, 3])], ids=["one rank", "a rank per row"])
def test_a_bf16_backbone_works_with_fp32_adapters(make, slow, ranks):
    layer, state = make(dtype=torch.float32)
    layer.base_layer.to(torch.bfloat16)
    state.set(ranks, frozen=False)
    x = batch(2, 3, dtype=torch.bfloat16)
    out = layer(x)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in factors_of(layer))
    exact = slow(layer.double(), x.double(), 3)
    torch.testing.assert_close(out.double(), exact, rtol=0.02, atol=0.2)


class Int8Linear(nn.Module):
    """A quantised layer: eight-bit weight, one scale, a forward of its own."""

    def __init__(self):
        super().__init__()
        self.in_features, self.out_features = D_IN, D_OUT
        self.register_buffer("weight", torch.randint(-127, 128, (D_OUT, D_IN), dtype=torch.int8))

    def forward(self, x):
        return x @ (self.weight.double() * 0.01).T


def test_any_linear_like_layer_is_called_through_its_own_forward():
    base = Int8Linear()
    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling="alpha/b"), 2)
    layer = fill(AdaptedLayer(base, state)).double()
    f, x = layer.factors, batch(3)
    expected = base(x) + reference.low_rank(x, f.lora_A, f.lora_B, 2, ALPHA, "alpha/b")
    torch.testing.assert_close(layer(x), expected, **TOLERANCE[torch.float64])


def test_weight_bias_and_sizes_stay_reachable_where_they_were():
    layer, _ = linear()
    base = layer.base_layer
    assert layer.weight is base.weight
    assert layer.bias is base.bias
    assert (layer.in_features, layer.out_features) == (D_IN, D_OUT)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        layer.nothing_like_it  # noqa: B018 (the lookup is the test)


@each_rank
def test_updated_rows_are_those_of_algorithm_1(rank):
    state = RankState(DyLoRAConfig(MAX_RANK), MAX_RANK)
    for frozen in (False, True):
        state.set(rank, frozen)
        rows = list(range(MAX_RANK))[state.updated_rows]
        assert [row + 1 for row in rows] == reference.updated_ranks(rank, frozen)


def test_with_a_rank_per_row_all_rows_up_to_the_largest_are_updated():
    state = RankState(DyLoRAConfig(MAX_RANK), MAX_RANK)
    state.set(torch.tensor([1, 3, 2]), frozen=False)
    assert list(range(MAX_RANK))[state.updated_rows] == [0, 1, 2]


def split_and_concatenate(layer, x):
    """The adapted output with every slice cut out, added to and put together again."""
    out, parts, start = layer.base_layer(x), [], 0
    for name in ("q", "k", "v"):
        part = out[..., start : start + D_IN]
        parts.append(part + layer.factors[name](x).to(part.dtype) if name in layer.factors else part)
        start += D_IN
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize("kind", ["fp32", "bf16 backbone", "autocast", "inference mode", "no grad", "a rank per row"])
def test_adding_to_slices_is_splitting_and_concatenating(kind):
    layer, state = fused(dtype=torch.float32)
    state.set(torch.tensor([2, 4]) if kind == "a rank per row" else 3, frozen=False)
    x = batch(2, 5, dtype=torch.float32).detach()
    if kind == "bf16 backbone":
        layer.base_layer.bfloat16()
        x = x.bfloat16()
    grad = torch.inference_mode() if kind == "inference mode" else torch.set_grad_enabled(kind != "no grad")
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"), grad:
        fast, slow, base = layer(x), split_and_concatenate(layer, x), layer.base_layer(x)
    assert fast.dtype == slow.dtype
    rounding = {torch.float32: 1e-5, torch.bfloat16: 2**-6}[fast.dtype]
    torch.testing.assert_close(fast, slow, rtol=rounding, atol=rounding * slow.abs().max().item())
    keys = slice(D_IN, 2 * D_IN)
    assert torch.equal(fast[..., keys], base[..., keys])


@pytest.mark.parametrize("ranks", [3, torch.tensor([3, 1])], ids=["one rank", "a rank per row"])
@pytest.mark.parametrize("make", [fused, interleaved])
def test_first_and_second_derivatives_of_adapted_slices_are_those_of_finite_differences(make, ranks):
    layer, state = make()
    state.set(ranks, frozen=False)
    x, factors = batch(2, 2), dict(layer.named_parameters())
    names = [name for name, p in factors.items() if p.requires_grad]

    def cubed(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,)) ** 3

    inputs = (x, *(factors[name] for name in names))
    assert torch.autograd.gradcheck(cubed, inputs)
    assert torch.autograd.gradgradcheck(cubed, inputs)


def test_one_product_adds_to_the_base_output_without_another_tensor_of_its_size():
    layer, state = fused(dtype=torch.float32)
    state.set(2, frozen=False)
    x = batch(4, 50, dtype=torch.float32)
    with Sizes() as sizes:
        layer(x)
    assert sizes.made.count(4 * 50 * 3 * D_IN) == 1
    assert 4 * 50 * D_IN not in sizes.made


@pytest.mark.parametrize("make", [fused, interleaved])
def test_a_batch_without_rows_gives_no_rows(make):
    """An expert of a mixture may get no token."""
    layer, _ = make()
    out = layer(batch(0, 3))
    assert out.shape == (0, 3, 10 if make is interleaved else 3 * D_IN)
    out.sum().backward()
    assert all(torch.count_nonzero(p.grad) == 0 for p in factors_of(layer))


def test_an_output_that_does_not_lie_in_one_piece_is_added_to_as_well():
    class Transposed(nn.Linear):
        def forward(self, x):
            return super().forward(x).transpose(0, 1).contiguous().transpose(0, 1)

    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA), MAX_RANK)
    layer = fill(AdaptedLayer(Transposed(D_IN, 3 * D_IN), state, side_by_side(q=D_IN, k=D_IN, v=D_IN))).double()
    x = batch(2, 3)
    torch.testing.assert_close(layer(x), torch.stack([layer(row) for row in x]), **TOLERANCE[torch.float64])


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's vmap takes addmm_ row by row
@pytest.mark.parametrize("make", [fused, interleaved])
def test_adapted_slices_work_under_torchs_function_transforms(make):
    layer, _ = make()
    x = batch(4, 3).detach()
    rows = torch.func.vmap(layer)(x)
    torch.testing.assert_close(rows, layer(x), **TOLERANCE[torch.float64])
    own = torch.func.vmap(torch.func.grad(lambda row: loss_of(layer(row))))(x)
    expected = [torch.func.grad(lambda row: loss_of(layer(row)))(row) for row in x]
    torch.testing.assert_close(own, torch.stack(expected), **TOLERANCE[torch.float64])


class Sizes(TorchDispatchMode):
    """Notes how many numbers each new tensor of an operation has."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        if isinstance(result, torch.Tensor) and not func.is_view and not func._schema.is_mutable:
            self.made.append(result.numel())
        return result


def test_an_output_that_an_autograd_function_made_as_a_view_is_not_changed_in_place():
    class Viewed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone().view(-1, 3 * D_IN)

        @staticmethod
        def backward(ctx, grad):
            return grad

    class Quantised(nn.Linear):
        def forward(self, x):
            return Viewed.apply(super().forward(x))

    state = RankState(DyLoRAConfig(MAX_RANK, alpha=ALPHA), MAX_RANK)
    slices = side_by_side(q=D_IN, k=D_IN, v=D_IN)
    layer = fill(AdaptedLayer(Quantised(D_IN, 3 * D_IN), state, slices)).double()
    plain = AdaptedLayer(nn.Linear(D_IN, 3 * D_IN), state, slices).double()
    plain.load_state_dict(layer.state_dict())
    x = batch(4)
    assert torch.equal(layer(x), plain(x))
    layer(x).sum().backward()


def test_the_factors_keep_their_names():
    assert {name for name, _ in linear()[0].named_parameters() if "lora" in name} == {
        "factors.lora_A",
        "factors.lora_B",
    }
    assert {name for name, _ in fused()[0].named_parameters() if "lora" in name} == {
        f"factors.{part}.lora_{kind}" for part in "qv" for kind in "AB"
    }
