"""Adapters merged into the base weights at a rank, and taken out again."""

import copy

import pytest
import torch
from families import logits
from torch import nn
from transformers import AutoModelForCausalLM

from dylora.adapters.adapt import adapted_layers, merge, rank_state, set_rank, unmerge, use_rank
from dylora.adapters.config import DyLoRAConfig
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


def test_a_merged_model_is_a_plain_model_of_the_same_output(adapted, make_model, token_ids):
    """The merged weights alone, loaded into a model without adapters."""
    model = adapted("gpt2")
    set_rank(model, 2)
    unmerged = logits(model, token_ids)
    merge(model, 2)
    weights = {name.replace("base_layer.", ""): w for name, w in model.state_dict().items() if "lora_" not in name}
    plain = make_model("gpt2")
    plain.load_state_dict(weights)
    torch.testing.assert_close(logits(plain, token_ids), unmerged, rtol=1e-4, atol=1e-5)


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
