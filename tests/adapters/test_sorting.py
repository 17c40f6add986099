"""Sorted factors against dense decompositions, and sorting in place."""

import numpy as np
import pytest
import reference
import torch
from torch import nn

from dylora.adapters.active_rank import rank_state, set_rank, use_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.cuts import cut
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.merging import merge
from dylora.adapters.sensitivity import Sensitivity, gather_sensitivities
from dylora.adapters.sorting import component_values, sort_, sorted_factors
from dylora.errors import InputError

SHAPES = pytest.mark.parametrize("shape", [(3, 9, 5), (6, 4, 9), (6, 9, 4), (7, 4, 3), (1, 5, 5)])


def _moments(size, condition=1e4):
    """Second moments of directions of very different size."""
    turned = torch.linalg.qr(torch.randn(size, size))[0]
    return turned @ torch.diag(torch.logspace(0, np.log10(condition), size)) @ turned.T


@SHAPES
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


@SHAPES
def test_weighted_factors_are_the_dense_generalised_svd_at_every_rank(shape):
    rank, d_in, d_out = shape
    a, b = torch.randn(rank, d_in, dtype=torch.float64), torch.randn(d_out, rank, dtype=torch.float64)
    weights = Sensitivity(_moments(d_in).double(), _moments(d_out).double())
    new_a, new_b = sorted_factors(a, b, weights)
    assert (new_a.shape, new_b.shape, new_a.dtype) == (a.shape, b.shape, a.dtype)
    for kept in range(1, min(shape) + 1):
        expected = reference.weighted_truncation(b @ a, weights.inputs, weights.gradients, kept)
        torch.testing.assert_close(new_b[:, :kept] @ new_a[:kept], expected, rtol=1e-7, atol=1e-9)


def test_white_statistics_give_the_svd():
    a, b = torch.randn(3, 8), torch.randn(6, 3)
    plain, white = sorted_factors(a, b), sorted_factors(a, b, Sensitivity(5 * torch.eye(8), 0.01 * torch.eye(6)))
    for kept in (1, 2, 3):
        expected = plain[1][:, :kept] @ plain[0][:kept]
        torch.testing.assert_close(white[1][:, :kept] @ white[0][:kept], expected, rtol=1e-4, atol=1e-5)


def test_statistics_of_nothing_weigh_nothing():
    a, b = torch.randn(3, 8), torch.randn(6, 3)
    nothing = Sensitivity(torch.zeros(8, 8), torch.zeros(6, 6))
    torch.testing.assert_close(sorted_factors(a, b, nothing), sorted_factors(a, b), rtol=1e-4, atol=1e-5)


def test_component_values_are_those_of_the_weighted_product():
    a, b = torch.randn(3, 8), torch.randn(6, 3)
    found = component_values(a, b)
    np.testing.assert_allclose(found, np.linalg.svd((b @ a).numpy(), compute_uv=False)[:3], rtol=1e-5)
    C, G, rows = _moments(8, 10), _moments(6, 10), 50
    # Without the ridge of a thousandth: || G^(1/2) B A C^(1/2) ||, mean over the rows.
    values = torch.linalg.eigvals(G @ (b @ a) @ C @ (b @ a).T / rows).real.sort(descending=True).values[:3]
    np.testing.assert_allclose(component_values(a, b, Sensitivity(C, G, rows)), values.sqrt(), rtol=2e-2)


@pytest.fixture(params=["alpha/b", "alpha/max_rank", "alpha/sqrt(b*max_rank)"])
def model(adapted, request):
    return adapted("bert", config=DyLoRAConfig(4, alpha=6, scaling=request.param))


@pytest.fixture
def weights(model):
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, LowRankFactors):
            found[name] = Sensitivity(_moments(module.lora_A.shape[1]), _moments(module.lora_B.shape[0]))
    return found


@pytest.mark.parametrize("weighted", [False, True])
@torch.no_grad()
def test_sorting_in_place_keeps_max_rank_and_makes_lower_ranks_the_cut(model, weights, weighted, token_ids):
    set_rank(model, 4)
    whole, expected = model(token_ids).logits, []
    before = [(p, p.data_ptr()) for p in model.parameters()]
    with cut(model, "two-sided" if weighted else "svd", weights):
        for rank in (1, 2, 3):
            with use_rank(model, rank):
                expected.append(model(token_ids).logits)
    sort_(model, weights if weighted else None)
    assert [(p, p.data_ptr()) for p in model.parameters()] == before  # an optimizer goes on with them
    assert rank_state(model).config.scaling == "alpha/max_rank"
    torch.testing.assert_close(model(token_ids).logits, whole, rtol=1e-6, atol=1e-6)
    for rank, logits in zip((1, 2, 3), expected, strict=True):
        with use_rank(model, rank):
            torch.testing.assert_close(model(token_ids).logits, logits, rtol=1e-5, atol=1e-5)


def test_the_two_sided_cut_is_the_optimum_of_a_linear_gaussian_problem():
    """`z = V W x`, x normal: the expected squared change of z is least, as a search over all products finds it."""
    torch.manual_seed(2)
    d, k, rank = 8, 4, 5
    spread = torch.linspace(0.2, 3.0, d)
    model = nn.Sequential(nn.Linear(d, d, bias=False), nn.Linear(d, k, bias=False))
    model[1].weight.data *= torch.linspace(3.0, 0.1, d)
    adapt(model, DyLoRAConfig(rank, alpha=rank, target_modules=["0"]))
    factors = model[0].factors
    factors.lora_B.data = torch.randn(d, rank)
    whole, read_out = factors.delta_weight(rank).double(), model[1].weight.detach().double()
    batches = [{"x": torch.randn(1000, d) * spread} for _ in range(20)]
    found = gather_sensitivities(model, batches, lambda batch: model(batch["x"]), "score", examples=20_000)

    def cost(product):
        return ((read_out @ (whole - product)) * spread).square().sum()

    for kept in (1, 2, 3):
        with cut(model, "two-sided", found):
            two_sided = cost(factors.delta_weight(kept))
        with cut(model, "svd"):
            svd = cost(factors.delta_weight(kept))
        left, right = (torch.randn(d, kept, dtype=torch.float64, requires_grad=True) for _ in range(2))
        search = torch.optim.LBFGS([left, right], max_iter=500, line_search_fn="strong_wolfe")

        def closure(search=search, left=left, right=right):
            search.zero_grad()
            loss = cost(left @ right.T)
            loss.backward()
            return loss

        for _ in range(5):
            search.step(closure)
        optimum = cost((left @ right.T).detach())
        assert optimum <= two_sided * (1 + 1e-6)
        assert two_sided < optimum * 1.05 + 1e-4
        assert two_sided < svd * 0.9


def test_bad_use(model, weights):
    name = next(iter(weights))
    with pytest.raises(InputError, match="sensitivities: must be those of this model's adapter"):
        sort_(model, {**weights, "other": weights[name]})
    with pytest.raises(InputError, match=r"sensitivities: must be of widths \(16, 16\)"):
        sort_(model, {**weights, name: Sensitivity(torch.eye(3), torch.eye(16))})
    with pytest.raises(InputError, match="sensitivities: must be finite"):
        sort_(model, {**weights, name: Sensitivity(torch.eye(16) * float("nan"), torch.eye(16))})
    merge(model, 2)
    with pytest.raises(InputError, match="model: must be unmerged, got merged at 2"):
        sort_(model)
