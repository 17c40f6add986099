"""Adapters in whole models: what is trained, the active rank, merging, saving, counting."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from test_targets import EXPECTED
from torch import nn
from torch.utils.checkpoint import CheckpointError
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

import dylora
from dylora.adapt import (
    adapt,
    adapted_layers,
    adapter_state,
    count_parameters,
    load_adapter_state,
    merge,
    rank_state,
    set_rank,
    takes_rank_per_row,
    unmerge,
    use_rank,
)
from dylora.config import DyLoRAConfig
from dylora.errors import InputError

MAX_RANK, ALPHA = 4, 8.0
CONFIG = DyLoRAConfig(MAX_RANK, alpha=ALPHA)
_TWO_LAYERS = {f"classifier.{layer}.{kind}" for layer in ("dense", "out_proj") for kind in ("weight", "bias")}
_ONE_LAYER = {"classifier.weight", "classifier.bias"}
_T5_HEAD = {name.replace("classifier", "classification_head") for name in _TWO_LAYERS}
HEADS = {
    "albert": _ONE_LAYER,
    "bart": _T5_HEAD,
    "bert": _ONE_LAYER,
    "camembert": _TWO_LAYERS,
    "deberta-v2": {*_ONE_LAYER, "pooler.dense.weight", "pooler.dense.bias"},
    "distilbert": {*_ONE_LAYER, "pre_classifier.weight", "pre_classifier.bias"},
    "electra": _TWO_LAYERS,
    "gpt2": {"score.weight"},
    "llama": {"score.weight"},
    "mistral": {"score.weight"},
    "mt5": _T5_HEAD,
    "opt": {"score.weight"},
    "qwen2": {"score.weight"},
    "qwen3": {"score.weight"},
    "roberta": _TWO_LAYERS,
    "t5": _T5_HEAD,
    "xlm-roberta": _TWO_LAYERS,
}
BEAMS = {"num_beams": 3, "do_sample": False, "max_new_tokens": 5, "min_new_tokens": 5}
each_family = pytest.mark.parametrize("model_type", EXPECTED)


@pytest.fixture
def adapted(make_model, randomise):
    """Build a tiny adapted model with random factors; the same base weights at every call."""

    def make(model_type="bert", *args, config=CONFIG, **changes):
        torch.manual_seed(0)
        return randomise(adapt(make_model(model_type, *args, **changes), config))

    return make


@torch.no_grad()
def logits(model, token_ids):
    return model(input_ids=token_ids, attention_mask=torch.ones_like(token_ids)).logits


def trainable(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def loss(model, token_ids):
    return model(input_ids=token_ids, attention_mask=torch.ones_like(token_ids)).logits.square().sum()


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
    ("model_type", "auto"), [("gpt2", AutoModelForCausalLM), ("t5", AutoModelForSeq2SeqLM), ("roberta", AutoModel)]
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


def test_a_module_at_two_names_keeps_one_adapter():
    model = nn.Module()
    model.first = nn.Linear(3, 3)
    model.second = model.first
    adapt(model, DyLoRAConfig(2, target_modules=["first", "second"]))
    assert model.first is model.second
    assert len(adapted_layers(model)) == 1


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
        with pytest.raises(ValueError, match="3 ranks were set for a batch of 1 rows"):
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
    assert torch.equal(model.generate(**inputs, **BEAMS), torch.cat(one_by_one))


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
    quantised, tied = (
        adapted(),
        adapted("gpt2", AutoModelForCausalLM, config=DyLoRAConfig(4, target_modules=["lm_head"])),
    )
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
    model = randomise(adapt(backbone, CONFIG))
    set_rank(model, 2)
    out = model(input_ids=token_ids, labels=token_ids)
    assert out.logits.dtype == torch.bfloat16
    out.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if "lora_" in name else torch.bfloat16)
        assert (parameter.grad is not None) == ("lora_" in name)


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
    load_adapter_state(twin, saved)
    for rank in (1, MAX_RANK):
        set_rank(model, rank)
        set_rank(twin, rank)
        assert torch.equal(logits(twin, token_ids), logits(model, token_ids))
    next(iter(saved.values())).zero_()
    assert torch.equal(logits(twin, token_ids), logits(model, token_ids))  # copied, not shared


def test_an_adapter_state_of_another_model_is_refused_and_nothing_is_copied(adapted):
    model, other = adapted(), adapted(config=DyLoRAConfig(2))
    before = {name: tensor.clone() for name, tensor in adapter_state(model).items()}
    name = next(iter(before))
    missing = {key: torch.zeros_like(value) for key, value in before.items() if key != name}
    for wrong in (missing, {**missing, name: torch.zeros(1), "new": torch.zeros(1)}, adapter_state(other)):
        with pytest.raises(InputError, match="adapter state: must be ") as caught:
            load_adapter_state(model, wrong)
        assert "\n" not in str(caught.value)
        assert all(torch.equal(before[key], value) for key, value in adapter_state(model).items())


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
    assert report.head == 16 * 3 + 3
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert report.total == frozen + report.head + report.adapter
    assert str(report).startswith(f"307 trainable of {report.total:,} (")
    assert str(report).endswith("%): 256 adapter, 51 head")
    with pytest.raises(InputError, match="rank: must be from 1 to max_rank 4, got 5"):
        count_parameters(model, 5)


def run_python(code):
    environment = {**os.environ, "PYTHONPATH": str(Path(dylora.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return run.stdout.strip()


def test_adapters_and_ranks_need_no_lightning():
    code = (
        "import sys, dylora.adapt, dylora.ranks\n"
        "print([name for name in sys.modules if 'lightning' in name.partition('.')[0]])"
    )
    assert run_python(code) == "[]"


COMPILED = """
import torch
from torch import nn
from dylora.adapt import adapt, set_rank
from dylora.config import DyLoRAConfig

torch.manual_seed(0)
model = adapt(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), DyLoRAConfig(4, target_modules=["0", "2"]))
parameters = [p for name, p in model.named_parameters() if "lora_" in name]
for p in parameters:
    nn.init.normal_(p)
x = torch.randn(3, 6)
compiled = torch.compile(model, backend="{backend}", fullgraph=True)
for rank in {ranks}:
    set_rank(model, rank)
    with torch.set_grad_enabled({grad}):
        fast, slow = compiled(x), model(x)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    if {grad}:
        fast, slow = (torch.autograd.grad(out.square().sum(), parameters) for out in (fast, slow))
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-3)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "ranks", "grad"),
    [("aot_eager", "(1, 3, torch.tensor([2, 4, 1]))", True), ("inductor", "(1, 3)", False)],
)
def test_a_compiled_model_equals_the_eager_one(backend, ranks, grad):
    """In a process of its own: torch.compile cannot trace the run-time shape checks of the tests."""
    if backend == "inductor" and not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    assert run_python(COMPILED.format(backend=backend, ranks=ranks, grad=grad)).endswith("equal")
