"""The three cuts of an adapter against dense matrices."""

import numpy as np
import pytest
import torch

from dylora.adapters.active_rank import adapted_layers, rank_state, set_rank, use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.cuts import CUTS, cut, sorted_factors
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.merging import merge
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
        with cut(model, kind), use_rank(model, MAX_RANK):
            torch.testing.assert_close(model(token_ids).logits, whole, rtol=1e-4, atol=1e-5)


@FAMILIES
@pytest.mark.parametrize("kind", CUTS)
@torch.no_grad()
def test_a_rank_per_row_gives_each_row_the_cut_of_its_rank(model, family, kind, token_ids):
    model = model(family)
    ranks = torch.tensor([3, 1, 4])
    set_rank(model, ranks)  # before the block: scales that are kept with the ranks follow the cut
    with cut(model, kind):
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
        with torch.inference_mode(inference), cut(model, kind):
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


@pytest.mark.parametrize("shape", [(3, 9, 5), (6, 4, 9), (6, 9, 4), (7, 4, 3), (1, 5, 5)])
def test_sorted_factors_have_the_same_product_and_sorted_orthogonal_components(shape):
    rank, d_in, d_out = shape
    a, b = torch.randn(rank, d_in), torch.randn(d_out, rank)
    new_a, new_b = sorted_factors(a, b)
    assert (new_a.shape, new_b.shape) == (a.shape, b.shape)
    torch.testing.assert_close(new_b @ new_a, b @ a, rtol=1e-4, atol=1e-5)
    values = np.linalg.svd((b.double() @ a.double()).numpy(), compute_uv=False)
    expected = np.zeros(rank)
    expected[: min(rank, len(values))] = values[:rank]
    np.testing.assert_allclose(new_a.norm(dim=1) * new_b.norm(dim=0), expected, atol=1e-4)
    gram = new_a @ new_a.T
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), rtol=0, atol=1e-4)


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
        pytest.raises(InputError, match=r"--cut: must be one of alpha/b, alpha/max_rank, svd, got 'rank'"),
        cut(model, "rank"),
    ):
        pass
    merge(model, 2)
    with pytest.raises(InputError, match="model: must be unmerged, got merged at 2"), cut(model, "svd"):
        pass
