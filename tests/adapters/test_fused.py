"""Slices of fused projections: the columns found by their effect on attention, and the literal model beside."""

import re
from pathlib import Path

import pytest
import reference
import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.pytorch_utils import Conv1D

from dylora import adapt, set_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.fused import FUSED_PROJECTIONS, fused_slices
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.merging import merge, unmerge
from dylora.adapters.targets import find_targets
from dylora.errors import InputError

MAX_RANK, ALPHA = 3, 6.0
_GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 16}
_PLAIN = {
    **{"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"intermediate_size": 24, "max_position_embeddings": 16, "pad_token_id": 0},
}
_LATENT = {
    **{**_PLAIN, "num_key_value_heads": 4, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6},
    **{"v_head_dim": 5, "first_k_dense_replace": 2, "n_group": 1, "topk_group": 1},
}
_FALCON = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "bias": True}
_DBRX = {
    **{"vocab_size": 40, "d_model": 16, "n_layers": 2, "n_heads": 4, "max_seq_len": 16},
    **{"attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 1e6}},
    **{"ffn_config": {"moe_num_experts": 2, "moe_top_k": 1, "ffn_hidden_size": 8}},
}
FAMILIES = {
    "gpt2": ("gpt2", _GPT2, "c_attn"),
    "openai-gpt": ("openai-gpt", _GPT2, "c_attn"),
    "imagegpt": ("imagegpt", _GPT2, "c_attn"),
    "gpt_bigcode multi-query": ("gpt_bigcode", _GPT2, "c_attn"),
    "gpt_bigcode multi-head": ("gpt_bigcode", {**_GPT2, "multi_query": False}, "c_attn"),
    "codegen": ("codegen", {**_GPT2, "rotary_dim": 4}, "qkv_proj"),
    "bloom": ("bloom", {"vocab_size": 40, "hidden_size": 16, "n_layer": 2, "n_head": 4}, "query_key_value"),
    "gpt_neox": ("gpt_neox", _PLAIN, "query_key_value"),
    "gpt_neox_japanese": ("gpt_neox_japanese", _PLAIN, "query_key_value"),
    "persimmon": ("persimmon", _PLAIN, "query_key_value"),
    "falcon new": ("falcon", {**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}, "query_key_value"),
    "falcon multi-query": ("falcon", {**_FALCON, "multi_query": True}, "query_key_value"),
    "falcon multi-head": ("falcon", {**_FALCON, "multi_query": False}, "query_key_value"),
    "mpt": ("mpt", {"vocab_size": 40, "d_model": 16, "n_layers": 2, "n_heads": 4, "max_seq_len": 16}, "Wqkv"),
    "phi3 grouped": ("phi3", {**_PLAIN, "num_key_value_heads": 2}, "qkv_proj"),
    "dbrx grouped": ("dbrx", _DBRX, "Wqkv"),
    "modernbert": ("modernbert", _PLAIN, "Wqkv"),
    "deberta": ("deberta", {**_PLAIN, "relative_attention": False}, "in_proj"),
    "deepseek_v2": ("deepseek_v2", {**_LATENT, "q_lora_rank": None}, "kv_b_proj"),
    "deepseek_v3": ("deepseek_v3", {**_LATENT, "q_lora_rank": 8}, "kv_b_proj"),
}
each_family = pytest.mark.parametrize("family", FAMILIES)


def make_base(family):
    """A tiny model with large random weights, so that every column of a projection has an effect."""
    model_type, sizes = FAMILIES[family][:2] if family in FAMILIES else (family, VISION[family])
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **sizes)).double().eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 or name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    return model


def make_adapted(family, scaling="alpha/b"):
    model = adapt(make_base(family), DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling=scaling)).double()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.3)
    return model


@torch.no_grad()
def attention_output(model, attention, projection, tokens, position=None, column=None):
    """The first attention's output (tokens, width); one column of the projection's output is moved at a position."""

    def move(module, args, out):
        if column is not None:
            out = out.clone()
            out.view(tokens, -1)[position, column] += 0.5
        return out

    kept = []
    hooks = [
        projection.register_forward_hook(move),
        attention.register_forward_hook(
            lambda module, args, out: kept.append(out[0] if isinstance(out, (tuple, list)) else out)
        ),
    ]
    model(input_ids=torch.arange(5, 5 + tokens)[None])
    for hook in hooks:
        hook.remove()
    return kept[0].reshape(tokens, -1)


def columns_by_effect(model, name):
    """Which columns are query, key and value, found without knowing the layout.

    With one token the softmax is 1 and the output is its value: whatever moves it is a value. With two tokens, the
    first one's key moves the second one's output and its query does not.
    """
    attention, projection = model.get_submodule(name.rpartition(".")[0]), model.get_submodule(name)
    d_out = len(projection.bias) if isinstance(projection, Conv1D) else projection.out_features
    alone, pair = (attention_output(model, attention, projection, tokens) for tokens in (1, 2))
    found = {"q": [], "k": [], "v": []}
    for column in range(d_out):
        moved = attention_output(model, attention, projection, 1, 0, column)
        if not torch.allclose(moved, alone, rtol=0, atol=1e-9):
            found["v"].append(column)
            continue
        moved = attention_output(model, attention, projection, 2, 0, column)
        found["q" if torch.allclose(moved[1], pair[1], rtol=0, atol=1e-9) else "k"].append(column)
    return found


def columns_of(place, d_out):
    return place.of(torch.arange(d_out)).flatten().tolist()


@pytest.fixture(scope="module")
def columns():
    """Columns by their effect, found once a family."""
    found = {}

    def of(family):
        if family not in found:
            model = make_base(family)
            projection = FAMILIES[family][2]
            name = next(name for name, _ in model.named_modules() if name.endswith(f".{projection}"))
            found[family] = columns_by_effect(model, name)
        return found[family]

    return of


@each_family
def test_slices_are_the_columns_that_act_as_query_key_and_value(family, columns):
    model, projection = make_base(family), FAMILIES[family][2]
    attention = next(m for m in model.modules() if projection in dict(m.named_children()))
    slices = fused_slices(attention, projection)
    d_out = sum(len(part) for part in columns(family).values())
    assert {part: columns_of(place, d_out) for part, place in slices.items()} == {
        part: expected for part, expected in columns(family).items() if expected
    }


def literal_weights(model, columns, rank, scaling):
    """The base model's weights plus the literal product at the columns that were found, by the base model's names."""
    weights = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, AdaptedLayer):
            continue
        weight = layer.base_layer.weight
        out_in = weight.T if isinstance(layer.base_layer, Conv1D) else weight
        delta = torch.zeros_like(out_in)
        pairs = layer.factors.items() if isinstance(layer.factors, nn.ModuleDict) else [("all", layer.factors)]
        for part, factors in pairs:
            A, B = factors.lora_A, factors.lora_B
            product = sum(torch.outer(B[:, k], A[k]) for k in range(rank))
            rows = range(len(delta)) if part == "all" else columns[part]
            place = torch.eye(len(delta), dtype=delta.dtype)[:, list(rows)]  # (out, rows of this part)
            delta = delta + reference.SCALINGS[scaling](ALPHA, rank, MAX_RANK) * (place @ product)
        weights[f"{name}.weight"] = (out_in + delta).T if isinstance(layer.base_layer, Conv1D) else out_in + delta
    return weights


def batch():
    return torch.tensor([[5, 6, 7, 8, 9], [9, 8, 11, 12, 13]])


@each_family
@pytest.mark.parametrize("scaling", ["alpha/b", "alpha/max_rank"])
def test_it_is_the_literal_model_at_every_rank_with_its_gradients_and_merged(family, scaling, columns):
    model, base = make_adapted(family, scaling), make_base(family)
    factors = [p for name, p in model.named_parameters() if "lora_" in name]
    for rank in range(1, MAX_RANK + 1):
        set_rank(model, rank)
        out = model(input_ids=batch()).last_hidden_state
        weights = literal_weights(model, columns(family), rank, scaling)
        literal = torch.func.functional_call(base, weights, kwargs={"input_ids": batch()}).last_hidden_state
        torch.testing.assert_close(out, literal, rtol=1e-9, atol=1e-9)
        fast, slow = (torch.autograd.grad(o.square().sum(), factors) for o in (out, literal))
        torch.testing.assert_close(fast, slow, rtol=1e-7, atol=1e-7)
        merge(model, rank)
        torch.testing.assert_close(model(input_ids=batch()).last_hidden_state, out, rtol=1e-5, atol=1e-5)
        unmerge(model)


@each_family
def test_the_keys_are_left_as_they_are(family, columns):
    model = make_adapted(family)
    for layer in model.modules():
        if isinstance(layer, AdaptedLayer) and layer.slices:
            x = torch.randn(2, 3, layer.base_layer.weight.shape[0 if isinstance(layer.base_layer, Conv1D) else 1])
            keys = columns(family)["k"]
            base, out = layer.base_layer(x.double()), layer(x.double())
            assert torch.equal(out[..., keys], base[..., keys])
            assert not torch.isclose(out, base)[..., [i for i in range(base.shape[-1]) if i not in keys]].any()


_IMAGE = {"image_size": 16, "patch_size": 8}
VISION = {
    "sam_vision_model": {**_PLAIN, **_IMAGE, "output_channels": 8, "mlp_dim": 24, "window_size": 0},
    "vitdet": {**_PLAIN, **_IMAGE},
    "timesformer": {**_PLAIN, **_IMAGE, "num_frames": 1, "attention_type": "space_only"},
}


@pytest.mark.parametrize("model_type", VISION)
def test_a_vision_tower_with_a_fused_projection_is_the_literal_model(model_type):
    thirds = {part: read_as((3, 4, 4), place, 48) for place, part in enumerate("qkv")}  # as reshape(..., 3, heads, -1)
    shape = (2, 1, 3, 16, 16) if model_type == "timesformer" else (2, 3, 16, 16)
    inputs = {"pixel_values": torch.randn(shape, dtype=torch.float64)}
    model, base = make_adapted(model_type), make_base(model_type)
    assert all(layer.slices for layer in model.modules() if isinstance(layer, AdaptedLayer))
    for rank in range(1, MAX_RANK + 1):
        set_rank(model, rank)
        weights = literal_weights(model, thirds, rank, "alpha/b")
        literal = torch.func.functional_call(base, weights, kwargs=inputs)[0]
        torch.testing.assert_close(model(**inputs)[0], literal, rtol=1e-9, atol=1e-9)
        assert not torch.allclose(literal, base(**inputs)[0])


def test_cross_attention_of_gpt2_has_a_query_layer_beside_its_key_and_value(make_model):
    from transformers import AutoModelForCausalLM

    model = make_model("gpt2", AutoModelForCausalLM, add_cross_attention=True)
    targets = {target.name: set(target.slices) for target in find_targets(model, None)}
    assert targets["transformer.h.0.attn.c_attn"] == {"q", "v"}
    assert targets["transformer.h.0.crossattention.c_attn"] == {"v"}
    assert "transformer.h.0.crossattention.q_attn" in targets
    assert columns_of(find_targets(model, ["crossattention.c_attn[v]"])[0].slices["v"], 32) == list(range(16, 32))
    with pytest.raises(InputError, match=r"crossattention.c_attn, which has k, v; leave q out"):
        find_targets(model, ["crossattention.c_attn[q,v]"])


def read_as(shape, index, d_out):
    """Columns of one projection, as the model's forward views the output and indexes or splits the view."""
    return torch.arange(d_out).view(shape)[index].flatten().tolist()


def test_qwen3_next_keeps_query_key_values_and_gates_of_a_key_head_together():
    config = AutoConfig.for_model(
        "qwen3_next",
        **{**_PLAIN, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 3},
        **{"linear_value_head_dim": 5, "num_experts": 2, "moe_intermediate_size": 8},
    )
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    mixer = next(m for m in model.modules() if type(m).__name__ == "Qwen3NextGatedDeltaNet")
    slices = fused_slices(mixer, "in_proj_qkvz")
    d_out = mixer.in_proj_qkvz.out_features
    shape = (2, 2 * 3 + 2 * 5 * 4 // 2)  # as in `fix_query_key_value_ordering`
    for part, inside in {"q": slice(0, 3), "k": slice(3, 6), "v": slice(6, 16)}.items():
        assert columns_of(slices[part], d_out) == read_as(shape, (slice(None), inside), d_out)


def test_minimax_keeps_query_key_and_value_of_a_head_together():
    config = AutoConfig.for_model("minimax", **{**_PLAIN, "num_local_experts": 2, "head_dim": 4})
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    mixer = next(m for m in model.modules() if type(m).__name__ == "MiniMaxLightningAttention")
    for part, inside in {"q": slice(0, 4), "k": slice(4, 8), "v": slice(8, 12)}.items():
        expected = read_as((4, 3 * 4), (slice(None), inside), 48)  # (heads, 3 * head_dim), then split by head_dim
        assert columns_of(fused_slices(mixer, "qkv_proj")[part], 48) == expected


def classes_of_transformers():
    """Name and source of every class of the installed models in whose file something is called `...qkv...`."""
    for path in sorted(Path(transformers.__file__).parent.glob("models/*/modeling_*.py")):
        source = path.read_text(encoding="utf-8")
        if "qkv" in source:
            parts = re.split(r"^class (\w+)", source, flags=re.MULTILINE)[1:]
            yield from zip(parts[::2], parts[1::2], strict=True)


def test_every_vision_attention_taken_for_thirds_views_its_output_as_three_times_heads():
    """As in SAM: `reshape(..., 3, heads, -1)`, where query, key and value come out in this order."""
    grouped = {"Exaone4_5_VisionAttention"}
    wanted = {key.partition(".")[0] for key in FUSED_PROJECTIONS if key.endswith(".qkv")} - grouped
    sources = {name: source for name, source in classes_of_transformers() if "self.qkv = nn.Linear(" in source}
    assert wanted <= set(sources)
    for name in wanted:
        assert re.search(r"3, self\.(num_heads|num_attention_heads|groups)", sources[name]), name
        assert re.search(r"quer\w+, key\w*, val\w+ = ", sources[name]), name


def test_every_fused_projection_of_the_installed_transformers_is_known():
    for name, source in classes_of_transformers():
        for child in re.findall(r"self\.(\w*qkv\w*) = (?:nn\.Linear|Conv1D)\(", source):
            assert f"{name}.{child}" in FUSED_PROJECTIONS or name in {"XLSTMInnerLayer"}, f"{name}.{child}"


class Attention(nn.Module):
    """A module of one's own, named like one of transformers."""

    def __init__(self):
        super().__init__()
        self.c_attn = nn.Linear(6, 18)
        self.qkv = nn.Linear(6, 18)


@pytest.mark.parametrize("name", ["c_attn", "qkv"])
def test_a_layout_that_is_not_known_is_refused_and_never_guessed(name):
    with pytest.raises(InputError, match=rf"'{name}\[q,v\]' at {name}, whose layout in Attention is not known"):
        find_targets(Attention(), [f"{name}[q,v]"])


def test_a_wide_layer_of_a_known_model_is_not_taken_for_a_fused_projection(make_model):
    model = make_model("gpt2", n_inner=48)
    with pytest.raises(InputError, match="whose layout in GPT2MLP is not known"):
        find_targets(model, ["c_fc[q,v]"])
