"""Adapters taken out for deployment, switched off, and what a model refuses while they are in it."""

import copy
import pickle

import pytest
import torch
from families import logits
from torch import nn
from torch.nn.utils import parametrizations
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from dylora.adapters.active_rank import adapted_layers, no_adapter, rank_state, set_rank, use_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.merging import merge, unload, unmerge
from dylora.adapters.parameters import adapter_state, count_parameters
from dylora.errors import InputError

KINDS = [
    ("bert", AutoModelForSequenceClassification),
    ("gpt2", AutoModelForCausalLM),
    ("t5", AutoModelForSequenceClassification),
    ("albert", AutoModelForSequenceClassification),
]


@pytest.mark.parametrize(("model_type", "auto"), KINDS)
def test_an_unloaded_model_is_a_plain_one_whose_file_gives_the_same_bits(
    model_type, auto, adapted, make_model, token_ids, tmp_path
):
    model = adapted(model_type, auto)
    set_rank(model, 2)
    expected = logits(model, token_ids)
    plain = unload(model, 2)
    assert plain is model
    assert type(plain) is type(make_model(model_type, auto))
    assert plain.state_dict().keys() == make_model(model_type, auto).state_dict().keys()
    assert not [m for m in plain.modules() if isinstance(m, AdaptedLayer) or m._forward_hooks or m._forward_pre_hooks]
    assert all(parameter.requires_grad for parameter in plain.parameters())
    torch.testing.assert_close(logits(plain, token_ids), expected, rtol=1e-4, atol=1e-5)
    plain.save_pretrained(tmp_path)
    again, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert torch.equal(logits(again.eval(), token_ids), logits(plain, token_ids))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in plain.state_dict().items())


def test_an_unloaded_model_counts_its_own_parameters_and_can_be_adapted_again(adapted, make_model):
    model = unload(adapted(), 2)
    total = sum(p.numel() for p in make_model("bert").parameters())
    report = count_parameters(model)
    assert (report.adapter, report.total, report.trainable) == (0, total, total)
    with pytest.raises(InputError, match="model: must be one with adapters"):
        count_parameters(model, 2)
    assert len(adapted_layers(adapt(model, DyLoRAConfig(2)))) == 4


def test_merged_adapters_count_nothing(adapted, make_model):
    model = adapted()
    merge(model, 2)
    report = count_parameters(model)
    assert (report.adapter, report.total) == (0, sum(p.numel() for p in make_model("bert").parameters()))


def test_a_merged_model_unloads_at_its_rank_alone(adapted, token_ids):
    model = adapted()
    merge(model, 2)
    merged = logits(model, token_ids)
    with pytest.raises(InputError, match="rank: must be 2, the merged rank"):
        unload(model, 3)
    assert torch.equal(logits(unload(model, 2), token_ids), merged)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_unloading_a_copy_leaves_the_adapted_model_as_it_was(duplicate, adapted, token_ids, tmp_path):
    model = adapted()
    before = logits(model, token_ids)
    twin = unload(duplicate(model), 2)
    twin.save_pretrained(tmp_path / "twin")
    assert not [m for m in twin.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert torch.equal(logits(model, token_ids), before)
    with pytest.raises(InputError, match="save_pretrained"):
        model.save_pretrained(tmp_path)


def test_save_pretrained_of_an_adapted_model_is_refused_before_anything_is_written(adapted, tmp_path):
    model = adapted()
    for part in (model, model.bert):
        with pytest.raises(InputError, match=r"model: must be without adapters for save_pretrained, .* unload"):
            part.save_pretrained(tmp_path / "folder")
    merge(model, 2)
    with pytest.raises(InputError, match="save_pretrained"):
        model.save_pretrained(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_merged_model_refuses_state_dicts_either_way_and_nothing_changes(adapted, token_ids):
    model, other = adapted(), adapted()
    state = copy.deepcopy(other.state_dict())
    merge(model, 2)
    before = logits(model, token_ids)
    with pytest.raises(InputError, match="model: must be unmerged for state_dict, got merged at 2"):
        model.state_dict()
    changed = {name: torch.zeros_like(value) for name, value in state.items()}
    for target, content in ((model, changed), (nn.ModuleList([nn.Linear(1, 1), model]), {}), (model.bert, {})):
        with pytest.raises(InputError, match="model: must be unmerged for load_state_dict, got merged at 2"):
            target.load_state_dict(content, strict=False)
    with pytest.raises(InputError, match="load_state_dict"):
        model.load_state_dict(adapter_state(other), strict=False)
    assert torch.equal(logits(model, token_ids), before)
    unmerge(model)
    model.load_state_dict(state)


def test_a_merged_model_refuses_to_be_trained(adapted, token_ids):
    model = adapted()
    merge(model, 2)
    model.train()
    with pytest.raises(InputError, match="model: must be unmerged in training, got merged at 2; call unmerge"):
        model(input_ids=token_ids)
    model.eval()(input_ids=token_ids)
    unmerge(model)
    model.train()(input_ids=token_ids).logits.sum().backward()


@pytest.mark.parametrize(
    "wrap", [parametrizations.weight_norm, parametrizations.spectral_norm, torch.nn.utils.weight_norm]
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_a_weight_computed_from_others_is_not_merged_and_nothing_changes(wrap, make_model, randomise, token_ids):
    model = make_model("bert")
    wrap(model.bert.encoder.layer[1].attention.self.value)
    model = randomise(adapt(model, DyLoRAConfig(4))).eval()
    before = logits(model, token_ids)
    for change in (merge, unload):
        with pytest.raises(InputError, match=r"weights that are parameters, got that of .*\(parametrised\)"):
            change(model, 2)
    assert rank_state(model).merged_rank is None
    assert torch.equal(logits(model, token_ids), before)


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "t5"])
def test_switched_off_it_is_the_base_model_bit_for_bit(model_type, make_model, randomise, token_ids):
    model = make_model(model_type)
    base = logits(model, token_ids)
    randomise(adapt(model, DyLoRAConfig(4)))
    set_rank(model, 3)
    adapted = logits(model, token_ids)
    with no_adapter(model):
        assert torch.equal(logits(model, token_ids), base)
        with no_adapter(model), use_rank(model, 1):
            assert torch.equal(logits(model, token_ids), base)
        assert torch.equal(logits(model, token_ids), base)
    assert torch.equal(logits(model, token_ids), adapted)
    with pytest.raises(KeyError), no_adapter(model):
        raise KeyError
    assert torch.equal(logits(model, token_ids), adapted)
    merge(model, 2)
    with pytest.raises(InputError, match="model: must be unmerged"), no_adapter(model):
        pass


def test_a_model_merged_under_inference_mode_is_unmerged_and_trained_on(adapted, token_ids):
    model = adapted("t5", AutoModelForSeq2SeqLM)
    with torch.inference_mode():
        merge(model, 2)
        model(input_ids=token_ids, labels=token_ids)
    model(input_ids=token_ids, labels=token_ids).loss.detach()
    unmerge(model)
    model.train()(input_ids=token_ids, labels=token_ids).loss.backward()
