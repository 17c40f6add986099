"""Where the query, key and value lie in the output of a fused projection, for every attention known to have one."""

from collections.abc import Callable
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from dylora.adapters.linear import features
from dylora.adapters.slices import OutputSlice, in_every_group, side_by_side

Slices = dict[str, OutputSlice]
Layout = Callable[[Any, int], Slices]  # of the attention module and the projection's out_features


def fused_slices(attention: nn.Module, name: str) -> Slices:
    """The slices of a fused projection by their names among `q`, `k` and `v`; empty where they are not known.

    Known are the attention classes of transformers in the table at the end of this file, and classes made from them.

    Args:
        attention: The module that calls the projection.
        name: The projection's name in it.
    """
    _, d_out = features(attention.get_submodule(name))
    for owner in _classes_of_transformers(attention):
        if layout := FUSED_PROJECTIONS.get(f"{owner.__name__}.{name}"):
            return layout(attention, d_out)
    return {}


def own_thirds(attention: nn.Module, name: str) -> Slices:
    """Query, key and value of a `Conv1D` three times as wide as its input in code of one's own, as GPT-2 has them."""
    projection = attention.get_submodule(name)
    d_in, d_out = features(projection)
    is_own = isinstance(projection, Conv1D) and not _classes_of_transformers(attention)
    return _thirds(attention, d_out) if is_own and d_out == 3 * d_in else {}


def _classes_of_transformers(module: nn.Module) -> list[type]:
    return [owner for owner in type(module).__mro__ if owner.__module__.startswith("transformers.")]


def _thirds(attention: Any, d_out: int) -> Slices:  # noqa: ANN401 (the attribute names differ from class to class)
    return side_by_side(q=d_out // 3, k=d_out // 3, v=d_out // 3)


def _halves(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    return side_by_side(k=d_out // 2, v=d_out // 2)


def _gpt2(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """In cross-attention `c_attn` holds the key and value alone, and `q_attn` the query."""
    return _halves(attention, d_out) if attention.is_cross_attention else _thirds(attention, d_out)


def _grouped(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """All heads' queries, then the fewer keys, then the values."""
    kv = attention.num_key_value_heads * attention.head_dim
    return side_by_side(q=d_out - 2 * kv, k=kv, v=kv)


def _every_head(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """Each head's query, key and value together."""
    heads = _heads(attention)
    width = d_out // heads // 3
    return in_every_group(heads, q=width, k=width, v=width)


def _falcon(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """New architecture: a group of queries with its key and value; multi-query: one key and value at the end."""
    width = attention.head_dim
    if attention.new_decoder_architecture:
        groups = attention.num_kv_heads
        return in_every_group(groups, q=attention.num_heads // groups * width, k=width, v=width)
    if attention.multi_query:
        return side_by_side(q=d_out - 2 * width, k=width, v=width)
    return _every_head(attention, d_out)


def _gpt_bigcode(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """Multi-query: one key and value at the end; else every head's together. Its cross-attention cannot run."""
    if attention.is_cross_attention:
        return {}
    if attention.multi_query:
        return side_by_side(q=d_out - 2 * attention.kv_dim, k=attention.kv_dim, v=attention.kv_dim)
    return _every_head(attention, d_out)


def _codegen(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """Four blocks, as the model was trained on four devices, each with its query, value and key in this order."""
    blocks = 4
    width = d_out // blocks // 3
    return in_every_group(blocks, q=width, v=width, k=width)


def _latent(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """Multi-head latent attention: the up projection of the latent, each head's key (without position) and value."""
    widths = {"k": attention.qk_nope_head_dim, "v": attention.v_head_dim}
    return in_every_group(d_out // sum(widths.values()), **widths)


def _delta_net_heads(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    """Each key head's query and key, and the values and gates of the value heads that belong to it."""
    values = attention.value_dim // attention.num_k_heads
    return in_every_group(attention.num_k_heads, q=attention.head_k_dim, k=attention.head_k_dim, v=values)


def _delta_net(attention: Any, d_out: int) -> Slices:  # noqa: ANN401
    return side_by_side(q=attention.key_dim, k=attention.key_dim, v=attention.value_dim)


def _heads(attention: Any) -> int:  # noqa: ANN401
    for owner in (attention, getattr(attention, "config", None)):
        for name in ("num_heads", "num_attention_heads"):
            if isinstance(heads := getattr(owner, name, None), int):
                return heads
    raise AssertionError(f"{type(attention).__name__} says nowhere how many heads it has")


_GROUPS_OF_CLASSES: list[tuple[Layout, str, str]] = [
    # layout, the projection's name, the attention classes that have it
    (_gpt2, "c_attn", "GPT2Attention DecisionTransformerGPT2Attention ImageGPTAttention"),
    (_thirds, "c_attn", "Attention"),  # of OpenAI's first GPT
    (_gpt_bigcode, "c_attn", "GPTBigCodeAttention"),
    (_thirds, "Wqkv", "ModernBertAttention MptAttention"),
    (_grouped, "Wqkv", "DbrxAttention"),
    (_thirds, "att_proj", "BarkSelfAttention"),
    (_grouped, "qkv_proj", "Phi3Attention Phi4MultimodalAttention"),
    (_codegen, "qkv_proj", "CodeGenAttention"),
    (_every_head, "qkv_proj", "MiniMaxLightningAttention"),
    (_every_head, "in_proj", "DisentangledSelfAttention"),
    (
        _every_head,
        "query_key_value",
        "BloomAttention GPTNeoXAttention GPTNeoXJapaneseAttention PersimmonAttention",
    ),
    (_falcon, "query_key_value", "FalconAttention"),
    (_thirds, "qkv_linear", "LayoutLMv2SelfAttention"),
    (_halves, "to_kv", "GraniteSpeechConformerAttention GraniteSpeechPlusConformerAttention"),
    (_halves, "to_kv", "EvollaSequenceCompressorAttention"),
    (_grouped, "qkv", "Exaone4_5_VisionAttention"),
    (
        _thirds,
        "qkv",
        """
        BlipAttention Blip2Attention InstructBlipAttention InstructBlipVideoAttention
        CohereCompassVisionAttention Dots3NoteVisionAttention Ernie4_5_VLMoeVisionAttention
        Glm4vVisionAttention Glm4vMoeVisionAttention Glm5NextVisionAttention GlmImageVisionAttention
        GlmOcrVisionAttention VisionAttention Qwen2_5_VLVisionAttention Qwen3VLVisionAttention Qwen3VLMoeVisionAttention
        Qwen3OmniMoeVisionAttention Qwen3_5VisionAttention Qwen3_5MoeVisionAttention Qwen4ExpVisionAttention
        SamVisionAttention SamHQVisionAttention Sam2MultiScaleAttention DeepseekOcr2SamVisionAttention
        GotOcr2VisionAttention UnlimitedOcrSamVisionAttention SLANeXtVisionAttention PPFormulaNetVisionAttention
        PPOCRV5MobileRecAttention PPOCRV5ServerRecAttention PPOCRV6SmallRecAttention
        Florence2VisionChannelAttention Florence2VisionWindowAttention HieraMaskUnitAttention MgpstrAttention
        SegGptAttention TimesformerSelfAttention VitDetAttention
        """,
    ),
    (_delta_net_heads, "in_proj_qkvz", "Qwen3NextGatedDeltaNet"),
    (
        _delta_net,
        "in_proj_qkv",
        "Qwen3_5GatedDeltaNet Qwen3_5MoeGatedDeltaNet Qwen4ExpTextGatedDeltaNet LaraMiniGatedDeltaNet",
    ),
    (
        _latent,
        "kv_b_proj",
        """
        DeepseekV2Attention DeepseekV3Attention DeepseekV32Attention AXK1Attention AXK2Attention
        BailingHybridAttention Dots3NoteTextAttention Glm4MoeLiteAttention Glm5NextTextAttention
        GlmMoeDsaAttention HYV4Attention KimiLinearAttention LongcatFlashMLA MiniCPM3Attention Mistral4Attention
        MistralLarge4TextAttention YoutuAttention
        """,
    ),
]
FUSED_PROJECTIONS: dict[str, Layout] = {  # by the class and the projection's name in it
    f"{owner}.{name}": layout for layout, name, owners in _GROUPS_OF_CLASSES for owner in owners.split()
}
