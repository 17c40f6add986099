"""Adapters in whole models: what is adapted, trained, saved and counted."""

import pytest
import reference
import torch
from families import EXPECTED, HEADS, each_family, logits
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from dylora.adapters.active_rank import adapted_layers, rank_state, set_rank, use_rank, without_adapters
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.parameters import adapter_state, count_parameters
from dylora.errors import InputError

MAX_RANK, ALPHA = 4, 8.0
CONFIG = DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling="alpha/b")


def trainable(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def put_delta(base, layer, rank):
    """Write Eq. 7 into the weight of a plain layer: `W0 + s(b) Wup|b Wdw|b`, summed up rank by rank."""

    def delta(f):
        total = sum(torch.outer(f.lora_B[:, k], f.lora_A[k]) for k in range(rank))
        return reference.SCALINGS["alpha/b"](ALPHA, rank, MAX_RANK) * total

    width = base.weight.shape[0]
    if hasattr(base, "nf"):  # GPT-2's Conv1D: (in, 3 in)
        base.weight[:, :width] += delta(layer.factors["q"]).T
        base.weight[:, 2 * width :] += delta(layer.factors["v"]).T
    else:
        base.weight += delta(layer.factors)


@each_family
def test_an_untrained_adapter_leaves_the_pretrained_output_bit_equal(model_type, make_model, token_ids):
    model = make_model(model_type)
    before = logits(model, token_ids)
    adapt(model, CONFIG)
    for rank in (1, MAX_RANK):
        set_rank(model, rank)
        assert torch.equal(logits(model, token_ids), before)


@each_family
def test_at_rank_b_it_is_the_plain_model_with_the_weights_of_eq_7(model_type, adapted, make_model, token_ids):
    model = adapted(model_type)
    for rank in (1, 3):
        torch.manual_seed(0)
        plain = make_model(model_type)
        with torch.no_grad():
            for name, layer in model.named_modules():
                if hasattr(layer, "base_layer"):
                    put_delta(plain.get_submodule(name), layer, rank)
        set_rank(model, rank)
        torch.testing.assert_close(logits(model, token_ids), logits(plain, token_ids), rtol=1e-4, atol=1e-5)


@each_family
def test_only_adapters_and_task_head_are_trainable(model_type, make_model):
    model = adapt(make_model(model_type), CONFIG)
    parents, children = EXPECTED[model_type]
    modules = [f"{parent}.{child}" for parent in parents for child in children]
    factors = ["factors.q", "factors.v"] if model_type == "gpt2" else ["factors"]
    adapters = {f"{m}.{f}.lora_{letter}" for m in modules for f in factors for letter in "AB"}
    assert trainable(model) == adapters | HEADS[model_type]
    assert len(adapted_layers(model)) == len(modules)


@pytest.mark.parametrize(
    ("model_type", "auto"),
    [
        ("gpt2", AutoModelForCausalLM),
        ("llama", AutoModelForCausalLM),  # its output embedding is not tied to anything in the backbone
        ("t5", AutoModelForSeq2SeqLM),
        ("bert", AutoModelForMaskedLM),
        ("roberta", AutoModel),
    ],
)
def test_a_model_without_a_task_head_trains_adapters_alone(model_type, auto, make_model):
    model = adapt(make_model(model_type, auto), CONFIG)
    assert all("lora_" in name for name in trainable(model))
    assert count_parameters(model).head == 0


def test_adapting_twice_is_refused(adapted):
    model = adapted()
    with pytest.raises(InputError, match="model: must be a model without adapters, got an adapted one"):
        adapt(model, CONFIG)


def test_a_refused_pattern_leaves_the_model_as_it_was(make_model):
    model = make_model("bert")
    modules = dict(model.named_modules())
    with pytest.raises(InputError, match="querry"):
        adapt(model, DyLoRAConfig(MAX_RANK, target_modules=["query", "querry"]))
    assert dict(model.named_modules()) == modules
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_adapters_take_the_mode_of_the_model(make_model, randomise, token_ids):
    """A model in evaluation mode must not begin to drop inputs of its adapters."""
    model = randomise(adapt(make_model("bert").eval(), DyLoRAConfig(4, dropout=0.9)))
    assert not any(module.training for module in model.modules())
    assert torch.equal(logits(model, token_ids), logits(model, token_ids))
    assert adapted_layers(adapt(make_model("bert").train(), CONFIG))[0].dropout.training


def test_a_module_at_two_names_keeps_one_adapter():
    model = nn.Module()
    model.first = nn.Linear(3, 3)
    model.second = model.first
    adapt(model, DyLoRAConfig(2, target_modules=["first", "second"]))
    assert model.first is model.second
    assert len(adapted_layers(model)) == 1


def test_what_was_trained_can_be_put_into_a_fresh_model(adapted, make_model, token_ids):
    model = adapted("roberta")
    saved = {name: tensor.clone() for name, tensor in adapter_state(model).items()}
    assert set(saved) == trainable(model)
    twin = make_model("roberta")
    twin.load_state_dict(
        {name.replace("base_layer.", ""): w for name, w in model.state_dict().items() if name not in saved},
        strict=False,
    )
    adapt(twin, CONFIG)
    assert not twin.load_state_dict(saved, strict=False).unexpected_keys
    for rank in (1, MAX_RANK):
        set_rank(model, rank)
        set_rank(twin, rank)
        assert torch.equal(logits(twin, token_ids), logits(model, token_ids))
    next(iter(saved.values())).zero_()
    assert torch.equal(logits(twin, token_ids), logits(model, token_ids))  # copied, not shared


@pytest.mark.parametrize(("rank", "trained"), [(1, 628_994), (2, 665_858), (4, 739_586), (8, 887_042), (None, 887_042)])
def test_roberta_base_has_the_trainable_parameters_of_table_3(rank, trained):
    with torch.device("meta"):
        config = RobertaConfig(num_labels=2, max_position_embeddings=514, type_vocab_size=1)
        model = RobertaForSequenceClassification(config)
    report = count_parameters(adapt(model, DyLoRAConfig(8)), rank)
    assert report.trainable == trained
    assert report.head == 592_130
    assert report.total - report.adapter == 124_647_170


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_gpt2_medium_has_the_trainable_parameters_of_table_9(rank):
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config(n_embd=1024, n_layer=24, n_head=16))
    report = count_parameters(adapt(model, DyLoRAConfig(4)), rank)
    assert (report.trainable, report.head) == (98_304 * rank, 0)


def test_the_parameter_report_counts_all_and_prints_one_line(adapted):
    model = adapted()
    report = count_parameters(model, 2)
    assert report.adapter == 4 * 2 * (16 + 16)  # 4 projections, 2 ranks, a row and a column of 16
    assert report.head == 16 * 16 + 16 + 16 * 3 + 3  # pooler and classifier
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert report.total == frozen + report.head + report.adapter
    assert str(report).startswith(f"579 trainable of {report.total:,} (")
    assert str(report).endswith("%): 256 adapter, 323 head")
    with pytest.raises(InputError, match="rank: must be from 1 to max_rank 4, got 5"):
        count_parameters(model, 5)


def test_a_model_without_adapters_has_one_rank_and_computes_what_it_did(make_model, token_ids):
    model = make_model("bert")
    expected = model(token_ids).logits
    names = [name for name, _ in model.named_parameters()]
    assert without_adapters(model, DyLoRAConfig(max_rank=4, rank_step=3)) is model
    assert list(rank_state(model).config.ranks) == [4]
    assert rank_state(model).rank == 4
    set_rank(model, torch.tensor([4, 4, 4]))
    with use_rank(model, 4):
        assert torch.equal(model(token_ids).logits, expected)
    assert [name for name, _ in model.named_parameters()] == names
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(ValueError, match="one with adapters"):
        adapted_layers(model)
    report = count_parameters(model)
    assert report.total == report.trainable == sum(p.numel() for p in model.parameters())
    assert (report.adapter, report.head) == (0, 16 * 16 + 16 + 16 * 3 + 3)
    assert str(report).endswith(f"(100.00%): {report.total - 323:,} backbone, 323 head")
