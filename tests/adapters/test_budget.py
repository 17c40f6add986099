"""Ranks under a budget: the best ones by brute force, refusals, and the truncated model."""

from itertools import product

import numpy as np
import pytest
import torch

from dylora.adapters.active_rank import use_rank
from dylora.adapters.budget import pooled_values, ranks_under_budget, truncated
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.cuts import cut
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.merging import merge
from dylora.adapters.sensitivity import Sensitivity
from dylora.adapters.sorting import sort_
from dylora.errors import InputError


@pytest.mark.parametrize("mean_rank", [1, 1.5, 2, 3, 3.4, 4])
def test_no_other_ranks_of_the_same_sum_lose_less(mean_rank):
    values = {name: sorted(torch.rand(4).tolist(), reverse=True) for name in "abcd"}
    ranks = ranks_under_budget(values, mean_rank)

    def lost(ranks):
        return sum(v**2 for name, rank in ranks.items() for v in values[name][rank:])

    assert list(ranks) == list(values)
    assert sum(ranks.values()) == int(4 * mean_rank)
    others = [dict(zip("abcd", r, strict=True)) for r in product(range(1, 5), repeat=4) if sum(r) == int(4 * mean_rank)]
    assert lost(ranks) == min(map(lost, others))


def test_equal_values_are_shared_out_evenly_and_always_alike():
    values = {name: [1.0, 1.0, 1.0] for name in "abc"}
    assert ranks_under_budget(values, 5 / 3) == {"a": 2, "b": 2, "c": 1}
    assert ranks_under_budget(values, 7 / 3) == {"a": 3, "b": 2, "c": 2}


@pytest.mark.parametrize("mean_rank", [0.5, 3.1, float("nan")])
def test_a_budget_below_one_rank_or_above_the_adapter_is_refused(mean_rank):
    with pytest.raises(InputError, match="--mean_rank: must be from 1 to 3, got"):
        ranks_under_budget({"a": [3.0, 2.0, 1.0], "b": [3.0, 2.0, 1.0]}, mean_rank)


def _factors(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRankFactors)}


@pytest.fixture(params=["bert", "gpt2"])
def model(adapted, request):
    return adapted(request.param, config=DyLoRAConfig(4, alpha=6, scaling="alpha/b"))


def test_pooled_values_are_the_singular_values_of_the_deltas(model):
    values = pooled_values(model)
    assert values.keys() == _factors(model).keys()
    for name, factors in _factors(model).items():
        expected = np.linalg.svd(factors.delta_weight(4).numpy(), compute_uv=False)[:4]
        np.testing.assert_allclose(values[name], expected, rtol=1e-4)


def test_a_module_that_matters_more_gets_more_ranks(model):
    def weigh(strong):
        return {
            name: Sensitivity(torch.eye(16), (100.0 if name == strong else 1.0) * torch.eye(16), 10)
            for name in _factors(model)
        }

    for strong in _factors(model):
        ranks = ranks_under_budget(pooled_values(model, weigh(strong)), 2)
        assert ranks[strong] == 4
        assert sum(ranks.values()) == 2 * len(ranks)


@torch.no_grad()
def test_truncated_equals_the_cut_of_each_module_and_restores_to_the_bit(model, token_ids):
    ranks = {name: 1 + place % 4 for place, name in enumerate(_factors(model))}
    before = [(p, p.data_ptr(), p.detach().clone()) for p in model.parameters()]
    with cut(model, "svd"):
        expected = {name: factors.delta_weight(ranks[name]) for name, factors in _factors(model).items()}
        with truncated(model, ranks):
            for name, factors in _factors(model).items():
                torch.testing.assert_close(factors.delta_weight(4), expected[name])
    assert all(p.data_ptr() == place and torch.equal(p, value) for p, place, value in before)
    with pytest.raises(RuntimeError, match="broken"), torch.inference_mode(), truncated(model, ranks):
        raise RuntimeError("broken")
    assert all(p.data_ptr() == place and torch.equal(p, value) for p, place, value in before)


@torch.no_grad()
def test_equal_ranks_are_the_uniform_cut(model, token_ids):
    sort_(model)
    with use_rank(model, 2):
        expected = model(token_ids).logits
    with truncated(model, dict.fromkeys(_factors(model), 2)), use_rank(model, 4):
        torch.testing.assert_close(model(token_ids).logits, expected, rtol=1e-5, atol=1e-6)


def test_bad_use(model):
    ranks = dict.fromkeys(_factors(model), 2)
    with pytest.raises(InputError, match="ranks: must be one for each module"), truncated(model, {**ranks, "other": 1}):
        pass
    with (
        pytest.raises(InputError, match="ranks: must be from 1 to 4, got 5"),
        truncated(model, dict.fromkeys(ranks, 5)),
    ):
        pass
    merge(model, 2)
    with pytest.raises(InputError, match="model: must be unmerged"), truncated(model, ranks):
        pass
