"""Losses at labelled tokens equal those of the whole logits, whose size is never reached."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from dylora.modules import labelled_tokens
from dylora.modules.labelled_tokens import LabelledTokens

VOCABULARY, ROWS, TOKENS = 300, 3, 7


def _model(kind):
    torch.manual_seed(0)
    small = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 8}
    gpt2 = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    t5 = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    bart = {"d_model": 8, "max_position_embeddings": 16, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    bart |= {
        f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("layers", 1), ("attention_heads", 2))
    }
    gemma2 = {"hidden_size": 8, "head_dim": 4, "final_logit_softcapping": 0.1, **small}
    made = {
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **gpt2)),
        "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(vocab_size=VOCABULARY, **gemma2)),
        "t5": lambda: T5ForConditionalGeneration(T5Config(vocab_size=VOCABULARY, **t5)),
        "bart": lambda: BartForConditionalGeneration(BartConfig(vocab_size=VOCABULARY, **bart)),
    }
    model = made[kind]().eval().requires_grad_(False)
    if kind == "bart":
        model.final_logits_bias.normal_()
    return model


def _inputs(model):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, VOCABULARY, (ROWS, TOKENS), generator=generator)
    inputs = {"input_ids": ids, "use_cache": False}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    labels = torch.randint(0, VOCABULARY, (ROWS, TOKENS), generator=generator)
    return inputs, labels, torch.rand(ROWS, TOKENS, generator=generator) > 0.4


@pytest.fixture(params=[1, 4, 10**6])
def part(request, monkeypatch):
    """Tokens whose logits are held at once."""
    monkeypatch.setattr(labelled_tokens, "_LOGITS", request.param * VOCABULARY)


@pytest.mark.parametrize("kind", ["gpt2", "gemma2", "t5", "bart"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_and_choices_are_those_of_the_whole_logits(kind, smoothing, part):
    model = _model(kind)
    inputs, labels, counted = _inputs(model)
    logits, targets = model(**inputs).logits[counted], labels[counted]
    tokens = LabelledTokens(model)
    for _ in range(2):
        with torch.no_grad():
            losses, best = tokens.losses(inputs, counted, targets, smoothing)
            torch.testing.assert_close(tokens.logits(inputs, counted), logits)
        expected = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        torch.testing.assert_close(losses, expected)
        assert torch.equal(best, logits.argmax(-1))


@pytest.mark.parametrize("is_frozen", [True, False])
def test_gradients_are_those_of_the_whole_logits(is_frozen, part):
    model = _model("gpt2").double()
    model.lm_head.weight.requires_grad_(not is_frozen)
    weight = model.transformer.h[0].mlp.c_fc.weight.requires_grad_(True)
    inputs, labels, counted = _inputs(model)
    targets, shares = labels[counted], torch.rand(int(counted.sum()), dtype=torch.float64)
    expected = F.cross_entropy(model(**inputs).logits[counted], targets, reduction="none", label_smoothing=0.1)
    (wanted,) = torch.autograd.grad((expected * shares).sum(), weight)
    losses, _ = LabelledTokens(model).losses(inputs, counted, targets, 0.1)
    (grad,) = torch.autograd.grad((losses * shares).sum(), weight)
    torch.testing.assert_close(grad, wanted, rtol=1e-5, atol=1e-9)  # the losses are made in fp32


def test_dropout_is_drawn_as_if_nothing_were_found_out():
    model = _model("gpt2").train()
    inputs, labels, counted = _inputs(model)
    torch.manual_seed(3)
    expected = F.cross_entropy(model(**inputs).logits[counted], labels[counted], reduction="none")
    torch.manual_seed(3)
    losses, _ = LabelledTokens(model).losses(inputs, counted, labels[counted], 0.0)
    torch.testing.assert_close(losses, expected)


class _Largest(TorchDispatchMode):
    """Number of elements of the largest tensor that is made."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and not func.is_view and made.shape[-1:] == (VOCABULARY,):
            self.elements = max(self.elements, made.numel())
        return made


@pytest.mark.parametrize("with_gradient", [False, True])
def test_no_more_logits_are_made_than_a_part_has(with_gradient, monkeypatch):
    monkeypatch.setattr(labelled_tokens, "_LOGITS", 2 * VOCABULARY)
    model = _model("gpt2")
    model.transformer.h[0].mlp.c_fc.weight.requires_grad_(True)
    inputs, labels, counted = _inputs(model)
    assert counted.sum() > 4
    with _Largest() as largest, torch.set_grad_enabled(with_gradient):
        LabelledTokens(model).losses(inputs, counted, labels[counted], 0.0)
    assert 0 < largest.elements <= 2 * VOCABULARY


class _WeightCopies(TorchDispatchMode):
    """Copies of a tensor of a weight's size."""

    def __init__(self, weight):
        super().__init__()
        self.size, self.found = weight.numel(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.bmm.default, torch.ops.aten.clone.default):
            self.found += [func for value in args if isinstance(value, torch.Tensor) and value.numel() == self.size]
        return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_showing_one_token_does_not_multiply_the_weight_as_a_batch_of_matrices(dtype):
    model = _model("gpt2").to(dtype)
    inputs, labels, counted = _inputs(model)
    tokens = LabelledTokens(model)
    with torch.no_grad(), _WeightCopies(model.lm_head.weight) as copies:
        for _ in range(2):
            tokens.losses(inputs, counted, labels[counted], 0.0)
    assert copies.found == []
