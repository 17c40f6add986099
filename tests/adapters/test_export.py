"""An adapter as PEFT's LoRA: PEFT, given the base model, computes the same at every rank."""

import pytest
import torch
from families import logits
from peft import PeftModel
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)

from dylora.adapters.active_rank import set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.budget import pooled_values, truncated
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.cuts import cut
from dylora.adapters.export import peft_adapter
from dylora.adapters.functional import SCALINGS
from dylora.adapters.merging import merge
from dylora.deploy.peft_folder import write_peft
from dylora.errors import InputError

KINDS = [
    ("bert", AutoModelForSequenceClassification),
    ("roberta", AutoModelForSequenceClassification),
    ("distilbert", AutoModelForSequenceClassification),
    ("deberta-v2", AutoModelForSequenceClassification),
    ("albert", AutoModelForSequenceClassification),
    ("gpt2", AutoModelForSequenceClassification),
    ("gpt2", AutoModelForCausalLM),
    ("llama", AutoModelForCausalLM),
    ("t5", AutoModelForSequenceClassification),
]
pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's: of fan_in_fan_out, of a base model without a file


def in_peft(base, adapter, folder):
    """The base model with the adapter, through PEFT's own files."""
    write_peft(folder, adapter)
    return PeftModel.from_pretrained(base, folder).eval()


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(("model_type", "auto"), KINDS)
def test_peft_computes_the_same_at_every_rank(model_type, auto, scaling, adapted, make_model, token_ids, tmp_path):
    model = adapted(model_type, auto, config=DyLoRAConfig(3, alpha=8, scaling=scaling))
    for parameter in model.parameters():  # a head that was trained
        if parameter.requires_grad:
            parameter.data += 0.1
    for rank in (1, 2, 3):
        set_rank(model, rank)
        torch.manual_seed(0)
        base = make_model(model_type, auto)
        loaded = in_peft(base, peft_adapter(model, rank), tmp_path / str(rank))
        torch.testing.assert_close(logits(loaded, token_ids), logits(model, token_ids), rtol=0, atol=1e-5)


def test_encoder_and_decoder_of_a_text_model(adapted, make_model, token_ids, tmp_path):
    model = adapted("t5", AutoModelForSeq2SeqLM)
    set_rank(model, 2)
    adapter = peft_adapter(model, 2)
    torch.manual_seed(0)
    loaded = in_peft(make_model("t5", AutoModelForSeq2SeqLM), adapter, tmp_path)
    ours, theirs = (m(input_ids=token_ids, labels=token_ids).logits for m in (model, loaded))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)
    assert adapter.config["task_type"] == "SEQ_2_SEQ_LM"
    assert adapter.config["modules_to_save"] is None


def test_an_image_model_with_its_head(randomise, tmp_path):
    sizes = {"image_size": 8, "patch_size": 4, "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2}
    base = ViTForImageClassification(ViTConfig(**sizes, intermediate_size=16, num_labels=3)).eval()
    state = base.state_dict()
    other = ViTForImageClassification(base.config).eval()
    other.load_state_dict(state)
    model = randomise(adapt(base, DyLoRAConfig(2)))
    model.classifier.weight.data += 0.3
    set_rank(model, 1)
    pixels = torch.randn(2, 3, 8, 8)
    adapter = peft_adapter(model, 1)
    loaded = in_peft(other, adapter, tmp_path)
    torch.testing.assert_close(loaded(pixel_values=pixels).logits, model(pixel_values=pixels).logits, rtol=0, atol=1e-5)
    assert adapter.config["auto_mapping"]["base_model_class"] == "ViTForImageClassification"
    assert adapter.config["modules_to_save"] == ["classifier"]


@pytest.mark.parametrize("targets", [None, ["query_key_value[q,k]"], ["query_key_value[v]", "dense_h_to_4h"]])
def test_slices_of_every_head_become_one_pair(targets, randomise, token_ids, tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    base, other = (GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=40, **sizes)).eval() for _ in range(2))
    other.load_state_dict(base.state_dict())
    config = DyLoRAConfig(4, scaling="alpha/b", target_modules=targets)
    model = randomise(adapt(base, config))
    set_rank(model, 3)
    loaded = in_peft(other, peft_adapter(model, 3), tmp_path)
    torch.testing.assert_close(logits(loaded, token_ids), logits(model, token_ids), rtol=0, atol=1e-5)


def test_a_fused_pair_is_block_structured(adapted):
    model = adapted("gpt2", AutoModelForCausalLM)
    adapter = peft_adapter(model, 2)
    layer = model.transformer.h[1].attn.c_attn
    rows = adapter.state["base_model.model.transformer.h.1.attn.c_attn.lora_A.weight"]
    columns = adapter.state["base_model.model.transformer.h.1.attn.c_attn.lora_B.weight"]
    q, v = layer.factors["q"], layer.factors["v"]
    assert torch.equal(rows, torch.cat([q.lora_A[:2], v.lora_A[:2]]))
    assert torch.equal(columns[:16, :2], q.lora_B[:, :2])
    assert torch.equal(columns[32:, 2:], v.lora_B[:, :2])
    assert columns[:16, 2:].count_nonzero() == columns[16:32].count_nonzero() == columns[32:, :2].count_nonzero() == 0
    assert (adapter.config["r"], adapter.config["lora_alpha"]) == (4, 16)  # alpha/b is 8/2, and 16/4 is the same
    assert adapter.config["fan_in_fan_out"] is True


def test_a_causal_model_is_plain_enough_for_servers(adapted):
    config = peft_adapter(adapted("llama", AutoModelForCausalLM), 3).config
    assert (config["r"], config["rank_pattern"], config["alpha_pattern"]) == (3, {}, {})
    assert config["modules_to_save"] is None
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert config["task_type"] == "CAUSAL_LM"


@pytest.mark.parametrize("kind", ["alpha/b", "alpha/max_rank", "svd"])
def test_inside_a_cut_it_is_the_adapter_as_it_was_cut(kind, adapted, make_model, token_ids, tmp_path):
    model = adapted("bert")
    with cut(model, kind):
        set_rank(model, 2)
        expected, adapter = logits(model, token_ids), peft_adapter(model, 2)
    torch.manual_seed(0)
    loaded = in_peft(make_model("bert"), adapter, tmp_path)
    torch.testing.assert_close(logits(loaded, token_ids), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_ranks_of_modules_become_patterns(model_type, adapted, make_model, token_ids, tmp_path):
    model = adapted(model_type)
    with cut(model, "svd"):
        ranks = {name: 1 + place % 3 for place, name in enumerate(pooled_values(model))}
        set_rank(model, 4)
        adapter = peft_adapter(model, ranks)
        with truncated(model, ranks):
            expected = logits(model, token_ids)
    torch.manual_seed(0)
    loaded = in_peft(make_model(model_type), adapter, tmp_path)
    torch.testing.assert_close(logits(loaded, token_ids), expected, rtol=0, atol=1e-5)
    width = {name: len(value) for name, value in adapter.state.items() if ".lora_A." in name}
    assert sum(width.values()) == sum(ranks.values())
    assert adapter.config["rank_pattern"]


def test_names_are_whole_where_short_ones_would_match_more(adapted):
    config = DyLoRAConfig(4, target_modules=["layer.1.attention.self.query"])
    adapter = peft_adapter(adapted("bert", config=config), 2)
    assert adapter.config["target_modules"] == ["bert.encoder.layer.1.attention.self.query"]


def test_tensors_share_no_memory_with_the_model(adapted):
    model = adapted("bert")
    adapter = peft_adapter(model, 2)
    before = {name: value.clone() for name, value in adapter.state.items()}
    for parameter in model.parameters():
        parameter.data.zero_()
    assert all(torch.equal(value, before[name]) for name, value in adapter.state.items())


def test_what_peft_has_no_form_for_is_refused(adapted):
    model = adapted("bert")
    with pytest.raises(InputError, match="rank: must be from 1 to max_rank 4, got 5"):
        peft_adapter(model, 5)
    with pytest.raises(InputError, match="rank: must be one for each module"):
        peft_adapter(model, {"elsewhere": 1})
    shared = nn.ModuleList([model.bert.encoder.layer[0].attention.self, nn.ModuleDict({"second": nn.Identity()})])
    shared[1]["second"] = model.bert.encoder.layer[0].attention.self.query
    model.extra = shared
    with pytest.raises(InputError, match="layers with one place each, got two modules that share one"):
        peft_adapter(model, 2)
    del model.extra
    model.temperature = nn.Parameter(torch.ones(1))
    with pytest.raises(InputError, match="modules of their own, got temperature"):
        peft_adapter(model, 2)
    del model.temperature
    merge(model, 2)
    with pytest.raises(InputError, match="model: must be unmerged"):
        peft_adapter(model, 2)
