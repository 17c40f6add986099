"""Backbones in 4 and 8 bits; what needs bitsandbytes is skipped where it is not installed."""

from importlib.util import find_spec

import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import linear

import dylora
from dylora import DyLoRAConfig, InputError
from dylora.adapters.layers import AdaptedLayer
from dylora.backbones import quantization
from dylora.backbones.load import load_classifier, load_generator
from dylora.cli import main

needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None or find_spec("accelerate") is None, reason='pip install "dylora[quantized]"'
)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*kernels.*", "ignore::UserWarning")
LOADERS = {"builtin/roberta": lambda q: load_classifier("builtin/roberta", 3, quantization=q)[0]}
LOADERS["builtin/gpt2"] = lambda q: load_generator("builtin/gpt2", quantization=q)


def test_the_missing_extra_is_one_line(monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"bitsandbytes .* is installed, got nf4; pip install .dylora\[quantized\]"):
        load_generator("builtin/gpt2", quantization="nf4")
    with pytest.raises(InputError, match=r"model.quantization: must be nf4 or int8, got 'int3'"):
        load_generator("builtin/gpt2", quantization="int3")


def test_plain_weights_have_no_quantization(make_model):
    assert quantization.quantization_of(make_model("bert")) is None
    assert quantization.quantization_of(nn.Linear(2, 2)) is None


def _adapted(name, kind):
    model = dylora.adapt(LOADERS[name](kind), DyLoRAConfig(max_rank=4, alpha=8, scaling="alpha/b"))
    generator = torch.Generator().manual_seed(7)
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            assert parameter.dtype == torch.float32
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return model.eval()


def _dequantised(base):
    """The weight that a packed layer stands for, (out, in)."""
    import bitsandbytes

    if base.weight.dtype == torch.int8:
        scale = base.state.SCB if base.state.SCB is not None else base.weight.SCB
        return base.weight.data.float() * scale.view(-1, 1) / 127
    return bitsandbytes.functional.dequantize_4bit(base.weight.data, base.weight.quant_state).float()


def _literal(layer, weight, x, rank):
    """X W^T + c, and alpha/b X A_b^T B_b^T, in each slice."""
    out = linear(x, weight, layer.base_layer.bias)
    if not layer.slices:
        pairs = [(layer.factors, torch.arange(out.shape[-1]))]
    else:
        columns = {name: torch.arange(s.start, s.start + s.width) for name, s in layer.slices.items()}
        pairs = [(factors, columns[name]) for name, factors in layer.factors.items()]
    for factors, columns in pairs:
        a, b = factors.lora_A[:rank], factors.lora_B[:, :rank]
        out[..., columns] += 8 / rank * (x @ a.T @ b.T)
    return out


@needs_bitsandbytes
@pytest.mark.parametrize("name", list(LOADERS))
@pytest.mark.parametrize(("kind", "tolerance"), [("nf4", 1e-3), ("int8", 2e-2)])  # what bitsandbytes itself rounds
def test_forward_is_dequantised_weights_plus_the_literal_product(name, kind, tolerance):
    model = _adapted(name, kind)
    layers = [module for module in model.modules() if isinstance(module, AdaptedLayer)]
    assert layers
    for layer in layers:
        x = torch.randn(2, 5, layer.base_layer.in_features)
        weight = _dequantised(layer.base_layer)  # before a forward, which may pack it in another way
        for rank in range(1, 5):
            dylora.set_rank(model, rank)
            with torch.no_grad():
                expected, found = _literal(layer, weight, x, rank), layer(x)
                base, packed = linear(x, weight, layer.base_layer.bias), layer.base_layer(x)
            assert (found - expected).norm() <= tolerance * expected.norm()
            torch.testing.assert_close(found - packed, expected - base, rtol=1e-4, atol=1e-5)  # the adapter's part


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_head_and_output_embedding_keep_their_width_and_only_adapters_and_head_learn(kind):
    classifier, writer = _adapted("builtin/roberta", kind), _adapted("builtin/gpt2", kind)
    assert type(classifier.classifier.dense) is nn.Linear
    assert type(writer.lm_head) is nn.Linear
    for model in (classifier, writer):
        model(input_ids=torch.tensor([[5, 6, 7]])).logits.sum().backward()
        learning = {name for name, p in model.named_parameters() if p.grad is not None}
        assert learning == {name for name, p in model.named_parameters() if p.requires_grad}
        assert all("lora_" in name or name.startswith("classifier.") for name in learning)


@needs_bitsandbytes
@pytest.mark.parametrize("name", list(LOADERS))
@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_gradients_in_evaluation_mode_and_after_an_evaluation_without_them(name, kind):
    """As in the second epoch, and for the statistics of the two-sided cut."""
    model, ids = _adapted(name, kind), torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
    for training in (False, True):
        model.train(training)(input_ids=ids).logits.sum().backward()
        assert all(p.grad is not None for key, p in model.named_parameters() if "lora_" in key)
    assert torch.equal(model.eval()(input_ids=ids).logits, before)


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_merging_and_unloading_are_refused(kind):
    model = _adapted("builtin/gpt2", kind)
    for act in (dylora.merge, dylora.unload):
        with pytest.raises(InputError, match="quantised ones; use it unmerged"):
            act(model, 2)


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_quantised_model_is_saved_and_loaded_with_equal_outputs(kind, tmp_path):
    model = _adapted("builtin/roberta", kind)
    with torch.no_grad():
        model(input_ids=torch.tensor([[5, 6]]))  # a forward may pack the weights in another way
    loaded = dylora.load(dylora.save(model, tmp_path / "kept"))
    assert loaded.record.backbone["quantization"] == kind
    ids = torch.tensor([[5, 6, 7, 8]])
    for rank in range(1, 5):
        with torch.no_grad(), dylora.use_rank(model, rank), dylora.use_rank(loaded.model, rank):
            assert torch.equal(model(input_ids=ids).logits, loaded.model(input_ids=ids).logits)


@needs_bitsandbytes
@pytest.mark.slow
def test_fit_on_4_bits_and_its_checkpoint_belongs_to_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    backbone = tiny.save_backbone(tmp_path / "backbone", hidden_size=64, intermediate_size=64)
    main(["fit", *tiny.options(backbone, tmp_path), "--model.quantization=nf4", "--trainer.max_epochs=2"])
    run = tmp_path / "logs/restaurants/version_0"
    loaded = dylora.load(run, rank=2)
    assert loaded.record.backbone["quantization"] == "nf4"
    assert set(loaded("the food was good", "they liked it")["probabilities"]) == {"entailment", "not_entailment"}
    main(["validate", "--config", str(run / "config.yaml"), "--rank", "2"])
    with pytest.raises(SystemExit):
        main(["validate", "--config", str(run / "config.yaml"), "--model.quantization=null"])
    assert "set --model.quantization nf4" in capsys.readouterr().err
