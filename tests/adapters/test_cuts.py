"""The cuts of an adapter against dense matrices."""

import numpy as np
import pytest
import reference
import torch

from dylora.adapters.active_rank import adapted_layers, rank_state, set_rank, use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.cuts import CUTS, cut
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.learned_order import learn_order_
from dylora.adapters.merging import merge
from dylora.adapters.sensitivity import Sensitivity
from dylora.errors import InputError

MAX_RANK, ALPHA = 4, 6.0
FAMILIES = pytest.mark.parametrize(
    "family", ["bert", "gpt2"]
)  # linear layers; a fused Conv1D with two pairs of factors
each_scaling = pytest.mark.parametrize("scaling", ["alpha/b", "alpha/max_rank", "alpha/sqrt(b*max_rank)"])


@pytest.fixture
def model(adapted, request):
    def make(family, scaling="alpha/b"):
        return adapted(family, config=DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling=scaling))

    return make


def _factors(model):
    return [module for module in model.modules() if isinstance(module, LowRankFactors)]


def _weights(model):
    """Random sensitivities of every pair of factors."""
    generator, found = torch.Generator().manual_seed(5), {}
    for name, module in model.named_modules():
        if isinstance(module, LowRankFactors):
            d_in, d_out = module.lora_A.shape[1], module.lora_B.shape[0]
            x, g = torch.randn(40, d_in, generator=generator), torch.randn(40, d_out, generator=generator)
            scales = torch.linspace(0.1, 3, d_in), torch.linspace(2, 0.01, d_out)
            found[name] = Sensitivity((x * scales[0]).T @ (x * scales[0]), (g * scales[1]).T @ (g * scales[1]), 40)
    return found


def _learning(model, token_ids):
    """Learns the order on some tokens, for a loss that all ranks differ in."""

    def learn():
        options = {"steps": 2, "rows_of": len}
        learn_order_(model, [token_ids] * 2, lambda ids: model(ids).logits.square().sum(), **options)

    return learn


def _products(model):
    """`B A` of every pair of factors, in fp64."""
    return [(f.lora_B.detach().double() @ f.lora_A.detach().double()).numpy() for f in _factors(model)]


def _best(product, rank):
    u, s, vh = np.linalg.svd(product, full_matrices=True)
    return (u[:, :rank] * s[:rank]) @ vh[:rank]


@FAMILIES
@each_scaling
def test_svd_is_the_best_approximation_of_the_whole_adapter_at_every_rank(model, family, scaling):
    model = model(family, scaling)
    products = _products(model)
    with cut(model, "svd"):
        for rank in range(1, MAX_RANK + 1):
            for factors, product in zip(_factors(model), products, strict=True):
                expected = ALPHA / MAX_RANK * _best(product, rank)
                np.testing.assert_allclose(factors.delta_weight(rank).double().numpy(), expected, atol=2e-5)


@FAMILIES
@each_scaling
def test_two_sided_is_the_best_weighted_approximation_of_the_whole_adapter_at_every_rank(model, family, scaling):
    model = model(family, scaling)
    products, weights = _products(model), _weights(model)
    with cut(model, "two-sided", weights):
        for rank in range(1, MAX_RANK + 1):
            for factors, product, one in zip(_factors(model), products, weights.values(), strict=True):
                best = reference.weighted_truncation(
                    torch.tensor(product), one.inputs.double(), one.gradients.double(), rank
                )
                expected = ALPHA / MAX_RANK * best
                torch.testing.assert_close(factors.delta_weight(rank).double(), expected, rtol=1e-4, atol=2e-5)


@FAMILIES
@each_scaling
@pytest.mark.parametrize(
    ("kind", "scale"),
    [("alpha/b", [ALPHA / 1, ALPHA / 2, ALPHA / 3, ALPHA / 4]), ("alpha/max_rank", [ALPHA / 4] * 4)],
)
def test_the_plain_cuts_scale_the_first_components_whatever_the_training_did(model, family, scaling, kind, scale):
    model = model(family, scaling)
    with cut(model, kind):
        for rank in range(1, MAX_RANK + 1):
            for factors in _factors(model):
                a, b = factors.lora_A.detach().double(), factors.lora_B.detach().double()
                expected = scale[rank - 1] * sum(torch.outer(b[:, k], a[k]) for k in range(rank))
                torch.testing.assert_close(factors.delta_weight(rank).double(), expected, rtol=1e-5, atol=1e-5)


@FAMILIES
@each_scaling
@torch.no_grad()
def test_all_cuts_agree_at_max_rank_and_with_the_adapter(model, family, scaling, token_ids):
    model = model(family, scaling)
    with use_rank(model, MAX_RANK):
        whole = model(token_ids).logits
    for kind in CUTS:
        with cut(model, kind, _weights(model), _learning(model, token_ids)), use_rank(model, MAX_RANK):
            torch.testing.assert_close(model(token_ids).logits, whole, rtol=1e-4, atol=1e-5)


@FAMILIES
@pytest.mark.parametrize("kind", CUTS)
@torch.no_grad()
def test_a_rank_per_row_gives_each_row_the_cut_of_its_rank(model, family, kind, token_ids):
    model = model(family)
    ranks = torch.tensor([3, 1, 4])
    set_rank(model, ranks)  # before the block: scales that are kept with the ranks follow the cut
    with cut(model, kind, _weights(model), _learning(model, token_ids)):
        stacked = model(token_ids).logits
        for row, rank in enumerate(ranks.tolist()):
            with use_rank(model, rank):
                torch.testing.assert_close(stacked[row], model(token_ids).logits[row], rtol=1e-4, atol=1e-5)


@FAMILIES
@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("error", [False, True])
@pytest.mark.parametrize("inference", [False, True])
def test_everything_is_restored_to_the_bit(model, family, kind, error, inference, token_ids):
    model = model(family, "alpha/sqrt(b*max_rank)")
    state = rank_state(model)
    set_rank(model, 3, frozen=True)
    config = state.config
    before = [(p, p.data_ptr(), p.detach().clone()) for p in model.parameters()]
    with torch.no_grad():
        output = model(token_ids).logits
    try:
        with torch.inference_mode(inference), cut(model, kind, _weights(model), _learning(model, token_ids)):
            set_rank(model, 1)
            if error:
                raise RuntimeError
    except RuntimeError:
        assert error
    assert (state.rank, state.frozen, state.config) == (3, True, config)
    assert all(p.data_ptr() == place and torch.equal(p, value) for p, place, value in before)
    model(token_ids).logits.sum().backward()  # the parameters can be trained again
    with torch.no_grad():
        assert torch.equal(model(token_ids).logits, output)


def test_an_untrained_adapter_stays_zero(adapted):
    model = adapted("bert", config=DyLoRAConfig(MAX_RANK))
    with torch.no_grad():
        for factors in _factors(model):
            factors.lora_B.zero_()
    with cut(model, "svd"):
        assert all(not layer.factors.delta_weight(2).any() for layer in adapted_layers(model))


def test_bad_use(adapted):
    model = adapted("bert")
    with (
        pytest.raises(
            InputError, match=r"--cut: must be one of alpha/b, alpha/max_rank, svd, two-sided, learned, got 'rank'"
        ),
        cut(model, "rank"),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"--cut: must be without calibration .* got two-sided"),
        cut(model, "two-sided"),
    ):
        pass
    with pytest.raises(InputError, match=r"--cut: must be one that needs no training"), cut(model, "learned"):
        pass
    merge(model, 2)
    with pytest.raises(InputError, match="model: must be unmerged, got merged at 2"), cut(model, "svd"):
        pass
