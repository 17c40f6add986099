"""Adapters merged into the base weights at a rank, and taken out again."""

import copy

import pytest
import torch
from families import logits
from torch import nn
from transformers import AutoModelForCausalLM

from dylora.adapters.active_rank import adapted_layers, rank_state, set_rank, use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.merging import merge, unmerge
from dylora.errors import InputError

MAX_RANK = 4


def test_a_copy_of_a_merged_model_unmerges_by_itself(adapted, token_ids):
    model = adapted()
    set_rank(model, 2)
    before = logits(model, token_ids)
    merge(model, 2)
    twin = copy.deepcopy(model)
    unmerge(twin)
    assert torch.equal(logits(twin, token_ids), before)
    assert rank_state(model).merged_rank == 2


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "t5"])
def test_merged_at_every_rank_it_computes_the_same_and_unmerge_restores_the_bits(model_type, adapted, token_ids):
    model = adapted(model_type)
    weights = copy.deepcopy(model.state_dict())
    for rank in range(1, MAX_RANK + 1):
        set_rank(model, rank)
        unmerged = logits(model, token_ids)
        merge(model, rank)
        torch.testing.assert_close(logits(model, token_ids), unmerged, rtol=1e-4, atol=1e-5)
        unmerge(model)
        assert torch.equal(logits(model, token_ids), unmerged)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    unmerge(model)  # does nothing to a model that is not merged


def test_merging_inside_use_rank_leaves_the_model_at_the_merged_rank(adapted, token_ids):
    model, other = adapted(), adapted()
    set_rank(model, 4)
    with use_rank(model, 2):
        merge(model, 3)
    assert (rank_state(model).rank, rank_state(model).merged_rank) == (3, 3)
    merge(other, 3)
    assert torch.equal(logits(model, token_ids), logits(other, token_ids))
    with pytest.raises(KeyError), use_rank(model, 3):
        raise KeyError
    assert rank_state(model).rank == 3
    unmerge(model)
    assert rank_state(model).rank == 3


def test_a_merged_model_refuses_another_rank_and_a_second_merge(adapted, token_ids):
    model = adapted()
    merge(model, 2)
    merged = logits(model, token_ids)
    set_rank(model, 2)
    set_rank(model, torch.tensor([2, 2, 2]))
    for rank in (3, torch.tensor([2, 3, 2])):
        with pytest.raises(InputError, match=r"rank: must be 2, the merged rank, got .*; call unmerge"):
            set_rank(model, rank)
        with pytest.raises(InputError, match="the merged rank"), use_rank(model, rank):
            pass
    for rank in (2, 3):
        with pytest.raises(InputError, match="model: must be unmerged, got merged at 2; call unmerge"):
            merge(model, rank)
    assert torch.equal(logits(model, token_ids), merged)
    unmerge(model)
    set_rank(model, 3)


def test_merging_at_a_rank_outside_the_range_changes_nothing(adapted, token_ids):
    model = adapted()
    before = logits(model, token_ids)
    with pytest.raises(InputError, match="rank: must be from 1 to max_rank 4, got 5"):
        merge(model, 5)
    assert torch.equal(logits(model, token_ids), before)


def test_a_quantised_or_tied_weight_is_not_merged_and_nothing_changes(adapted, token_ids):
    config = DyLoRAConfig(4, target_modules=["lm_head"])
    quantised, tied = adapted(), adapted("llama", AutoModelForCausalLM, config=config, tie_word_embeddings=False)
    tied.model.embed_tokens.weight = tied.lm_head.base_layer.weight
    last = adapted_layers(quantised)[-1].base_layer
    before = adapted_layers(quantised)[0].weight.clone()
    last.weight = nn.Parameter(last.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(InputError, match="model: must be of floating-point weights, got quantised ones"):
        merge(quantised, 2)
    assert torch.equal(adapted_layers(quantised)[0].weight, before)
    assert rank_state(quantised).rank == MAX_RANK
    before = logits(tied, token_ids)
    with pytest.raises(InputError, match="tied"):
        merge(tied, 2)
    assert torch.equal(logits(tied, token_ids), before)
