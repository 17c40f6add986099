"""Adapted layers that code reads in place of calling: refused, found, and no false alarm."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    MambaConfig,
    MambaForCausalLM,
    NllbMoeConfig,
    NllbMoeForConditionalGeneration,
    WavLMConfig,
    WavLMForSequenceClassification,
    Zamba2Config,
)
from transformers.models.zamba2.modeling_zamba2 import Zamba2MambaMixer

from dylora.adapters import factors
from dylora.adapters.adapt import adapt
from dylora.adapters.calls import check_calls, uncalled_layers
from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError


def adapt_at(model, *targets):
    return adapt(model, DyLoRAConfig(2, target_modules=targets))


def wavlm():
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    convolution = {"conv_dim": (8,), "conv_stride": (5,), "conv_kernel": (10,), "num_feat_extract_layers": 1}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    return WavLMForSequenceClassification(WavLMConfig(**small, **convolution, **positions))


class Encoder(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=batch_first, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x):
        return self.encoder(x)


@pytest.mark.parametrize("target", ["q_proj", "v_proj", "out_proj"])
def test_projections_whose_weights_wavlm_reads_are_refused_by_name(target):
    model = wavlm()
    with pytest.raises(InputError, match=rf"got wavlm.*.attention.{target} of WavLMAttention, which reads"):
        adapt_at(model, target)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("target", ["linear1", "linear2"])
def test_layers_of_the_fast_path_of_torch_are_refused_by_name(target):
    with pytest.raises(InputError, match=rf"{target} of TransformerEncoderLayer, .* batch_first=False"):
        adapt_at(Encoder(batch_first=True), target)
    model = adapt_at(Encoder(batch_first=False), target).eval()  # has no fast path
    model(torch.randn(3, 5, 16))
    check_calls(model)


def test_a_mixer_that_hands_its_weights_to_a_kernel_is_refused():
    model = MambaForCausalLM(MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(InputError, match=r"got backbone.layers.0.mixer.x_proj of MambaMixer, which reads"):
        adapt_at(model, "x_proj")
    with torch.device("meta"):
        mixer = nn.ModuleDict({"mixer": Zamba2MambaMixer(Zamba2Config(), layer_idx=0)})
    with pytest.raises(InputError, match=r"got mixer.out_proj of Zamba2MambaMixer, which reads"):
        adapt_at(mixer, "out_proj")


def test_the_output_projection_of_multi_head_attention_is_refused():
    with pytest.raises(InputError, match="target_modules: must be "):
        adapt_at(Encoder(batch_first=False), "out_proj")


class Reads(nn.Module):
    """Reads a weight in the place of a call, always or in evaluation alone; and reads it for its type as well."""

    def __init__(self, always):
        super().__init__()
        self.always, self.proj, self.other = always, nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = x.to(self.other.weight.dtype)
        if self.always or not self.training:
            return self.other(F.linear(x, self.proj.weight, self.proj.bias))
        return self.other(self.proj(x))


def test_a_layer_that_is_read_and_not_called_is_found_in_the_first_forward():
    model = adapt_at(nn.Sequential(Reads(always=True)), "proj", "other")
    with pytest.raises(InputError, match=r"target_modules: must be layers that are called, got proj of Reads, which"):
        model(torch.randn(2, 4))


def test_a_layer_in_a_list_is_found_too():
    class ReadsOfList(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

        def forward(self, x):
            return F.linear(self.layers[0](x), self.layers[1].weight)

    with pytest.raises(InputError, match=r"got layers.1 of ReadsOfList, which"):
        adapt_at(ReadsOfList(), "layers.*")(torch.randn(2, 4))


def test_a_compiled_model_computes_the_same_without_a_break(adapted, monkeypatch):
    plain = inspect.unwrap(factors.truncated_product)  # the tests' checks of shapes cannot be compiled
    monkeypatch.setattr(factors, "truncated_product", plain)
    model = adapted("bert")
    layer = model.bert.encoder.layer[0]
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x), layer(x))


def test_a_layer_that_is_read_in_evaluation_alone_is_found_there():
    model = adapt_at(nn.Sequential(Reads(always=False)), "proj", "other").train()
    model(torch.randn(2, 4))
    with pytest.raises(InputError, match="got proj of Reads"), torch.no_grad():
        model.eval()(torch.randn(2, 4))


def test_reading_a_type_and_calling_is_no_bypass(adapted, token_ids):
    """T5 asks for the type of `wo`, which is called afterwards."""
    config = DyLoRAConfig(2, target_modules=["wo", "q"])
    model = adapted("t5", AutoModelForSeq2SeqLM, config=config)
    model(input_ids=token_ids, labels=token_ids)
    check_calls(model)


def test_a_layer_that_is_dropped_is_no_bypass_and_told_only_when_asked():
    sizes = {f"{part}_layers": 2 for part in ("encoder", "decoder")} | {"vocab_size": 40, "d_model": 16}
    sizes |= {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    model = BartForConditionalGeneration(BartConfig(**sizes, encoder_layerdrop=1.0, decoder_layerdrop=0.0))
    model = adapt_at(model, "q_proj").train()
    model(input_ids=torch.tensor([[0, 5, 6, 2]]), labels=torch.tensor([[5, 6, 2]]))
    assert uncalled_layers(model) == [f"model.encoder.layers.{i}.self_attn.q_proj" for i in (0, 1)]
    with pytest.raises(InputError, match=r"got 2 that no forward reached: model.encoder.layers.0.self_attn.q_proj, "):
        check_calls(model)
    model.eval()(input_ids=torch.tensor([[0, 5, 6, 2]]), labels=torch.tensor([[5, 6, 2]]))
    check_calls(model)


def test_experts_without_tokens_are_no_bypass():
    sizes = {"vocab_size": 40, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_experts": 8}
    sizes |= {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    sizes |= {f"{part}_ffn_dim": 24 for part in ("encoder", "decoder")}
    config = NllbMoeConfig(**sizes, encoder_sparse_step=1, decoder_sparse_step=1)
    model = adapt_at(NllbMoeForConditionalGeneration(config), "fc1", "fc2").eval()
    model(input_ids=torch.tensor([[5, 6, 7, 2]]), decoder_input_ids=torch.tensor([[2, 5]]))
    assert 0 < len(uncalled_layers(model)) < 32


def test_cross_attention_from_a_cache_and_a_given_encoder_are_no_bypass(adapted, token_ids):
    model = adapted("t5", AutoModelForSeq2SeqLM, config=DyLoRAConfig(2, target_modules=["q", "k", "v"]))
    encoded = model.get_encoder()(input_ids=token_ids)
    model.generate(encoder_outputs=encoded, max_new_tokens=4, min_new_tokens=4, use_cache=True)
    check_calls(model)


def test_a_decoder_that_has_run_has_called_all(adapted, token_ids):
    model = adapted("gpt2", AutoModelForCausalLM)
    assert len(uncalled_layers(model)) == 2
    model(input_ids=token_ids)
    assert uncalled_layers(model) == []


def test_a_checkpointed_training_step_is_no_bypass(adapted, token_ids):
    model = adapted("bert").train()
    model.activation_checkpointing_enable()
    model.enable_input_require_grads()
    model(input_ids=token_ids).logits.sum().backward()
    check_calls(model)
