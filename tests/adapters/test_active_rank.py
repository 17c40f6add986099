"""The active rank of a model: set, restored, a rank per row, copies, checkpointed activations, precision."""

import copy
import pickle

import numpy as np
import pytest
import torch
from families import each_family, logits
from torch import nn
from torch.utils.checkpoint import CheckpointError
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from dylora.adapters.active_rank import adapted_layers, rank_state, repeated_rows, set_rank, use_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.merging import merge, unmerge
from dylora.adapters.rank_per_row import takes_rank_per_row
from dylora.errors import InputError

MAX_RANK = 4
BEAMS = {"num_beams": 3, "do_sample": False, "max_new_tokens": 5, "min_new_tokens": 5}


def loss(model, token_ids):
    return model(input_ids=token_ids, attention_mask=torch.ones_like(token_ids)).logits.square().sum()


def test_the_start_is_a_plain_lora_at_max_rank(adapted, token_ids):
    model = adapted()
    assert rank_state(model).rank == MAX_RANK
    start = logits(model, token_ids)
    set_rank(model, MAX_RANK)
    assert torch.equal(logits(model, token_ids), start)


def test_every_rank_computes_something_of_its_own(adapted, token_ids):
    model = adapted()
    outputs = []
    for rank in range(1, MAX_RANK + 1):
        set_rank(model, rank)
        outputs.append(logits(model, token_ids))
    for i, a in enumerate(outputs):
        for b in outputs[:i]:
            assert (a - b).abs().max() > 1e-5


@pytest.mark.parametrize("rank", [2, np.int64(2), torch.tensor(2)], ids=["int", "numpy", "tensor"])
def test_any_integer_is_a_rank(rank, adapted, token_ids):
    model = adapted()
    set_rank(model, rank)
    assert type(rank_state(model).rank) is int
    got = logits(model, token_ids)
    set_rank(model, 2)
    assert torch.equal(got, logits(model, token_ids))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_ranks_of_rows_may_be_of_any_integer_type(dtype, adapted, token_ids):
    model = adapted()
    set_rank(model, torch.tensor([1, 4, 2], dtype=dtype))
    got = logits(model, token_ids)
    set_rank(model, torch.tensor([1, 4, 2]))
    assert torch.equal(got, logits(model, token_ids))


@pytest.mark.parametrize(
    ("rank", "given"),
    [
        (0, "0"),
        (-1, "-1"),
        (9, "9"),
        (np.int64(9), "9"),
        (torch.tensor([1, 9]), "ranks from 1 to 9"),
        (torch.tensor([0, 8]), "ranks from 0 to 8"),
        (True, "True"),
        (2.0, "2.0"),
        ("abc", "'abc'"),
        (None, "None"),
        (torch.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (torch.tensor([True]), "tensor([True])"),
        (torch.tensor([[1, 2]]), "tensor([[1, 2]])"),
        (torch.tensor([], dtype=torch.long), "tensor([], dtype=torch.int64)"),
    ],
    ids=str,
)
def test_a_rank_outside_the_range_is_told_in_one_line(rank, given, adapted):
    model = adapted(config=DyLoRAConfig(8))
    set_rank(model, 3)
    with pytest.raises(InputError) as caught:
        set_rank(model, rank)
    message = str(caught.value)
    assert message.startswith("rank: must be ")
    assert f", got {given}; " in message
    assert "\n" not in message
    if isinstance(rank, int) and rank is not True:
        assert "from 1 to max_rank 8" in message
    assert rank_state(model).rank == 3


@pytest.mark.parametrize("rank", [3, 4, 7, torch.tensor([2, 4, 8])], ids=str)
def test_a_rank_that_the_range_skips_is_refused_with_those_there_are(rank, adapted):
    model = adapted(config=DyLoRAConfig(8, min_rank=2, rank_step=3))
    with pytest.raises(InputError, match=r"rank: must be one of the ranks 2, 5, 8, got "):
        set_rank(model, rank)
    for trained in (2, 5, torch.tensor([8, 2, 5])):
        set_rank(model, trained)


@pytest.mark.parametrize("rank", [1, torch.tensor([1, 4])], ids=str)
def test_a_rank_below_the_range_is_refused(rank, adapted):
    with pytest.raises(InputError, match=r"rank: must be from 2 to max_rank 4, got "):
        set_rank(adapted(config=DyLoRAConfig(4, min_rank=2)), rank)


def test_ranks_of_rows_set_under_inference_mode_do_not_break_training(adapted, token_ids):
    model = adapted().train()
    with torch.inference_mode():
        set_rank(model, torch.tensor([1, 4, 2]))
    loss(model, token_ids).backward()
    set_rank(model, ranks := torch.tensor([1, 4, 2]))
    with torch.inference_mode(), use_rank(model, 3):
        pass
    loss(model, token_ids).backward()
    ranks.fill_(3)  # what was set is kept apart from the caller's tensor
    assert torch.equal(rank_state(model).rank, torch.tensor([1, 4, 2]))


def test_repeated_rows_are_repeated_inside_the_block_alone(adapted, token_ids):
    model = adapted()
    set_rank(model, torch.tensor([1, 4, 2]))
    once = logits(model, token_ids)
    with repeated_rows(model, 2):
        twice = logits(model, token_ids.repeat_interleave(2, 0))
        torch.testing.assert_close(twice, once.repeat_interleave(2, 0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(logits(model, token_ids), once)  # an encoder runs before rows are repeated
        with pytest.raises(InputError, match="got 3 ranks for 9 rows"):
            logits(model, token_ids.repeat(3, 1))
    with pytest.raises(InputError, match="got 3 ranks for 6 rows"):
        logits(model, token_ids.repeat(2, 1))
    with pytest.raises(InputError, match="times: must be at least 1, got 0"), repeated_rows(model, 0):
        pass


def test_frozen_mode_needs_one_rank(adapted):
    with pytest.raises(InputError, match="frozen: must be off with a rank per row"):
        set_rank(adapted(), torch.tensor([1, 2]), frozen=True)


def test_a_model_without_adapters_says_what_to_call():
    with pytest.raises(ValueError, match="call adapt"):
        set_rank(nn.Linear(2, 2), 1)


def test_use_rank_restores_the_rank_the_mode_and_the_output(adapted, token_ids):
    model = adapted()
    set_rank(model, 2, frozen=True)
    before = logits(model, token_ids)
    with use_rank(model, 3):
        assert (rank_state(model).rank, rank_state(model).frozen) == (3, False)
        with use_rank(model, torch.tensor([1, 2, 3])):
            assert not torch.equal(logits(model, token_ids), before)
        assert rank_state(model).rank == 3
    assert (rank_state(model).rank, rank_state(model).frozen) == (2, True)
    assert torch.equal(logits(model, token_ids), before)


def test_use_rank_restores_after_an_exception_and_after_a_refused_rank(adapted, token_ids):
    model = adapted()
    ranks = torch.tensor([1, 2, 3])
    set_rank(model, ranks)
    before = logits(model, token_ids)
    with pytest.raises(KeyError), use_rank(model, 3):
        raise KeyError
    with pytest.raises(InputError), use_rank(model, 99):
        pass
    assert torch.equal(rank_state(model).rank, ranks)
    assert torch.equal(logits(model, token_ids), before)


@each_family
def test_a_rank_per_row_equals_rank_by_rank(model_type, adapted, token_ids):
    model = adapted(model_type)
    ranks = [3, 1, 4]
    one_by_one = []
    for row, rank in enumerate(ranks):
        set_rank(model, rank)
        one_by_one.append(logits(model, token_ids[row : row + 1]))
    set_rank(model, torch.tensor(ranks))
    if model_type == "deberta-v2":  # its position table, one row, goes through the query projection
        assert not takes_rank_per_row(model)
        with pytest.raises(ValueError, match=r"rank: must be one for each row of the batch, got 3 ranks for 1 rows"):
            logits(model, token_ids)
    else:
        assert takes_rank_per_row(model)
        torch.testing.assert_close(logits(model, token_ids), torch.cat(one_by_one), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("model_type", "auto"), [("gpt2", AutoModelForCausalLM), ("t5", AutoModelForSeq2SeqLM)])
def test_beam_search_with_a_rank_per_row_equals_rank_by_rank(model_type, auto, adapted, token_ids):
    model = adapted(model_type, auto)
    ranks, one_by_one = [1, 4, 2], []
    inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
    for row, rank in enumerate(ranks):
        set_rank(model, rank)
        one_by_one.append(model.generate(**{k: v[row : row + 1] for k, v in inputs.items()}, **BEAMS))
    assert not torch.equal(one_by_one[0][0], one_by_one[1][0])
    set_rank(model, torch.tensor(ranks))
    with repeated_rows(model, BEAMS["num_beams"]):
        assert torch.equal(model.generate(**inputs, **BEAMS), torch.cat(one_by_one))
    with pytest.raises(InputError, match="got 3 ranks for 9 rows"):  # nothing is guessed from a number that divides
        model.generate(**inputs, **BEAMS)


def test_train_and_eval_change_neither_rank_nor_weights_nor_output(adapted, token_ids):
    model = adapted()
    set_rank(model, 2, frozen=True)
    before, weights = logits(model, token_ids), copy.deepcopy(model.state_dict())
    for mode in (True, False, True):
        model.train(mode)
        assert (rank_state(model).rank, rank_state(model).frozen) == (2, True)
        assert torch.equal(logits(model, token_ids), before)
    merge(model, 2)
    merged = logits(model, token_ids)
    model.train().eval()
    assert rank_state(model).merged_rank == 2
    assert torch.equal(logits(model, token_ids), merged)
    unmerge(model)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_a_copy_has_one_rank_state_of_its_own(duplicate, model_type, adapted, token_ids):
    model = adapted(model_type)
    set_rank(model, 3)
    at_3 = logits(model, token_ids)
    twin = duplicate(model)
    assert torch.equal(logits(twin, token_ids), at_3)
    states = {id(module.state) for module in twin.modules() if hasattr(module, "state")}
    assert states == {id(rank_state(twin))}
    assert id(rank_state(model)) not in states
    set_rank(twin, 1)
    assert torch.equal(logits(model, token_ids), at_3)
    assert not torch.equal(logits(twin, token_ids), at_3)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradients_are_the_same_with_checkpointed_activations(model_type, frozen, reentrant, adapted, token_ids):
    model = adapted(model_type).train()
    set_rank(model, 2, frozen=frozen)
    loss(model, token_ids).backward()
    expected = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    for module in model.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = True
            module._gradient_checkpointing_func = lambda function, *args: torch.utils.checkpoint.checkpoint(
                function, *args, use_reentrant=reentrant
            )
    model.enable_input_require_grads()
    loss(model, token_ids).backward()
    for name, parameter in model.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-5, atol=1e-6)


def test_checkpointed_activations_need_the_rank_of_the_forward_in_the_backward(adapted, token_ids):
    """What the docstring of `use_rank` warns of: torch notices, the gradients are not silently wrong."""
    layer = adapted_layers(adapted())[0]
    x = torch.randn(3, 16)
    with use_rank(layer, 2):
        out = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
    with pytest.raises(CheckpointError):
        out.sum().backward()


def test_under_autocast_the_adapters_and_their_gradients_stay_fp32(adapted, token_ids):
    model = adapted()
    set_rank(model, 3)
    exact = logits(model, token_ids)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(model, token_ids)
        torch.testing.assert_close(logits(model, token_ids).float(), exact, rtol=0.05, atol=0.02)
    value.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert (parameter.dtype, parameter.grad.dtype) == (torch.float32, torch.float32), name


def test_a_bf16_backbone_trains_fp32_adapters(make_model, randomise, token_ids):
    backbone = make_model("gpt2", AutoModelForCausalLM).to(torch.bfloat16)
    model = randomise(adapt(backbone, DyLoRAConfig(MAX_RANK)))
    set_rank(model, 2)
    out = model(input_ids=token_ids, labels=token_ids)
    assert out.logits.dtype == torch.bfloat16
    out.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if "lora_" in name else torch.bfloat16)
        assert (parameter.grad is not None) == ("lora_" in name)
