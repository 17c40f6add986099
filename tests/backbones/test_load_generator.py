"""Loading backbones that write text."""

import numpy as np
import pytest
import tiny
import tiny_text
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, ViTConfig

from dylora.backbones import hub_logs
from dylora.backbones.load import load_generator
from dylora.errors import InputError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("writers")
    return {family: tiny_text.save_writer(root / family, family) for family in ("gpt2", "llama", "t5")}


@pytest.mark.parametrize(("family", "is_encoder_decoder"), [("gpt2", False), ("llama", False), ("t5", True)])
def test_language_models_load_in_full(folders, family, is_encoder_decoder):
    model = load_generator(folders[family])
    assert model.config.is_encoder_decoder == is_encoder_decoder
    assert model.can_generate()
    assert model.training
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    saved = load_file(f"{folders[family]}/model.safetensors")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in saved.items())


def test_the_shipped_one_has_a_name():
    assert load_generator("builtin/gpt2").config.model_type == "gpt2"


def _refused(folder):
    with pytest.raises(InputError) as error:
        load_generator(str(folder))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_encoders_are_refused_although_transformers_would_take_them(tmp_path):
    said = _refused(tiny.save_backbone(tmp_path / "roberta"))
    assert said.startswith("model.backbone: must be a causal language model (GPT-2, Llama, ...) or an encoder-decoder")
    assert "of type 'roberta', which has no language-model head to write text with" in said
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with hub_logs.quiet():
        BertModel(BertConfig(**sizes)).save_pretrained(tmp_path / "bert")
    assert "of type 'bert', which has no language-model head" in _refused(tmp_path / "bert")


def test_other_models_are_refused(tmp_path):
    ViTConfig().save_pretrained(tmp_path)
    assert "of type 'vit', which has no language-model head" in _refused(tmp_path)


def test_weights_without_the_head_are_refused(folders, tmp_path):
    model = load_generator(folders["llama"])
    with hub_logs.quiet():
        model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "must be weights for all of LlamaForCausalLM" in _refused(tmp_path)
    assert "whose weights lack lm_head.weight" in _refused(tmp_path)


def test_an_empty_folder_and_an_unreachable_name(tmp_path):
    assert "must be a folder with config.json and weights" in _refused(tmp_path)
    assert "offline, give a local folder" in _refused("someone/some-model")


def test_a_gguf_file_without_the_packages_that_read_it(folders, monkeypatch):
    monkeypatch.setattr("dylora.backbones.load.is_gguf_available", lambda: False)
    with pytest.raises(InputError, match=r'model.gguf_file: must be left out .* pip install "dylora\[gguf\]"'):
        load_generator(folders["llama"], "model.gguf")


def test_a_gguf_file_that_is_not_there(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("dylora.backbones.load.is_gguf_available", lambda: True)
    (tmp_path / "other.gguf").write_bytes(b"")
    with pytest.raises(InputError, match=r"model.gguf_file: must be a file in .*got 'model.gguf'; it has other.gguf;"):
        load_generator(str(tmp_path), "model.gguf")


def _write_gguf(gguf, model, path):
    """The format's own names; queries and keys have the two halves of each head interleaved."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    parts = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
    parts |= {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
    parts |= {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    names = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm", "lm_head.weight": "output"}
    for name, tensor in model.state_dict().items():
        array = tensor.numpy()
        last = name.split(".")[-2]
        if last in ("q_proj", "k_proj"):
            heads = config.num_attention_heads if last == "q_proj" else config.num_key_value_heads
            halves = array.reshape(heads, 2, array.shape[0] // heads // 2, array.shape[1])
            array = halves.swapaxes(1, 2).reshape(array.shape)
        target = names.get(name) or f"blk.{name.split('.')[2]}.{parts[last]}"
        writer.add_tensor(f"{target}.weight", np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_in_a_folder_is_the_model_it_was_made_from(tmp_path):
    gguf = pytest.importorskip("gguf")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=40, max_position_embeddings=64, **sizes)).eval()
    _write_gguf(gguf, model, tmp_path / "model.gguf")
    loaded = load_generator(str(tmp_path), "model.gguf").eval()
    ids = torch.tensor([[1, 5, 6, 7, 8, 2]])
    with torch.no_grad():
        assert torch.allclose(loaded(ids).logits, model(ids).logits, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"no such thing", b"GGUF\x03\x00"])
def test_a_damaged_gguf_file_is_one_line(tmp_path, content):
    pytest.importorskip("gguf")
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(InputError, match=r"model.gguf_file: must be a GGUF file of a language model, got 'model.gguf'"):
        load_generator(str(tmp_path), "model.gguf")
