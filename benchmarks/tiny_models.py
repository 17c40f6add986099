"""Tiny random models of the architectures in the installed transformers, and inputs for them.

Sizes follow from the names of a configuration's attributes; `CORRECTIONS` has what does not fit that rule.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

VOCABULARY, WIDTH, HEADS, GROUPS, LAYERS, POSITIONS, TOKENS = 64, 32, 4, 2, 2, 64, 12
IMAGE, PATCH, SAMPLES, FRAMES, LARGEST = 32, 8, 400, 32, 2_000_000

_NAMES: list[tuple[str, Any]] = [
    ("vocab_size decoder_vocab_size n_words src_vocab_size tgt_vocab_size vocab_size_per_layer_input", VOCABULARY),
    ("hidden_size d_model n_embd dim emb_dim embedding_size word_embed_proj_dim projection_dim embed_dim", WIDTH),
    ("decoder_hidden_size attention_hidden_size output_hidden_size pooler_output_size pooler_hidden_size", WIDTH),
    ("backbone_hidden_size embedding_dim channels", WIDTH),
    ("intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim n_inner d_ff d_inner dim_ff dff hidden_dim", 48),
    ("ffn_hidden_size", 48),
    ("num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads", HEADS),
    ("num_key_value_heads", GROUPS),
    ("num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_decoder_layers", LAYERS),
    ("num_encoder_layers", LAYERS),
    (
        "head_dim d_kv d_head kv_channels v_head_dim qk_nope_head_dim qk_rope_head_dim dim_head attention_head_dim",
        WIDTH // HEADS,
    ),
    ("max_position_embeddings n_positions max_seq_len n_ctx max_source_positions max_target_positions", POSITIONS),
    ("seq_length max_encoder_position_embeddings max_decoder_position_embeddings", POSITIONS),
    ("max_2d_position_embeddings sliding_window", POSITIONS),
    ("num_experts n_routed_experts num_local_experts moe_num_experts rotary_dim", 4),
    ("num_experts_per_tok moe_k moe_topk num_conv_pos_embedding_groups num_hash_functions", 2),
    ("moe_intermediate_size shared_expert_intermediate_size kv_lora_rank q_lora_rank num_hash_buckets", 16),
    ("hidden_size_per_layer_input num_conv_pos_embeddings classifier_proj_size codevector_dim", 16),
    ("proj_codevector_dim xvector_output_dim num_mel_bins", 16),
    ("first_k_dense_replace num_adapter_layers decoder_start_token_id bos_token_id n_group topk_group", 1),
    ("pad_token_id", 0),
    ("layerdrop encoder_layerdrop decoder_layerdrop", 0.0),
    ("num_labels", 3),
    ("eos_token_id sep_token_id", 2),
    ("image_size", IMAGE),
    ("patch_size encoder_stride", PATCH),
]
_BY_NAME = {name: value for names, value in _NAMES for name in names.split()}
_SPEECH = {"conv_dim": [16, 16], "conv_kernel": [10, 3], "conv_stride": [5, 2], "num_feat_extract_layers": 2}
_SWIN = {"depths": [1, 1], "embed_dim": 16, "num_heads": [2, 4], "window_size": 2, "patch_size": 4}
_RESNET = {"hidden_sizes": [16, 32], "depths": [1, 1], "embedding_size": 16}
_CONVNEXT = {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2}
_PYRAMID = {"hidden_sizes": [16, 32], "num_attention_heads": [2, 4], "sr_ratios": [2, 1], "depths": [1, 1]}
_PYRAMID.update(num_encoder_blocks=2, mlp_ratios=[2, 2], patch_sizes=[4, 2], strides=[4, 2])
_MAMBA = {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16}
_HYBRID = {**_MAMBA, "layer_types": ["mamba", "attention"]}
_LATENT_TOO = ("deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "youtu")
_LATENT = {"num_key_value_heads": HEADS}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
CORRECTIONS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("data2vec-audio", "hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm"), _SPEECH),
    **dict.fromkeys(("sew", "sew-d", "wav2vec2-conformer", "speecht5"), _SPEECH),
    **dict.fromkeys(("swin", "swinv2", "donut-swin"), _SWIN),
    **dict.fromkeys(("resnet", "regnet"), _RESNET),
    **dict.fromkeys(("convnext", "convnextv2"), _CONVNEXT),
    **dict.fromkeys(("qwen3_5_text", "qwen3_5_moe_text", "qwen3_next", "qwen4_exp_text", "olmo_hybrid"), _LINEAR),
    **dict.fromkeys(("axk1", "axk2", "deepseek_v2", "deepseek_v3", "minicpm3", "mistral4", *_LATENT_TOO), _LATENT),
    **dict.fromkeys(("bamba", "granitemoehybrid"), _HYBRID),
    **dict.fromkeys(("falcon_h1",), _MAMBA),
    **dict.fromkeys(("pvt", "segformer"), _PYRAMID),
    "albert": {"intermediate_size": 48, "embedding_size": 16},
    "xmod": {"default_language": "en_XX"},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "led": {"attention_window": 8},
    "lilt": {"hidden_size": 48},
    "layoutlmv3": {"visual_embed": False},
    "pp_lcnet": {"scale": 0.25},
    "audio-spectrogram-transformer": {"max_length": FRAMES, "patch_size": 8},
    "big_bird": {"attention_type": "original_full"},
    "bigbird_pegasus": {"attention_type": "original_full"},
    "esmc": {"num_key_value_heads": HEADS},
    "funnel": {"block_sizes": [1, 1], "num_decoder_layers": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 4},
    "gpt_oss": {"num_local_experts": 4},
    "hiera": {
        "image_size": [IMAGE, IMAGE],
        "embed_dim": 16,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "num_query_pool": 1,
        "masked_unit_attention": [True, False],
    },
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 16},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "nemotron_h": {
        **{"mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 16},
        **{"layers_block_type": ["linear_attention", "full_attention"], "moe_shared_expert_intermediate_size": 16},
    },
    "zamba2": {
        **{"mamba_headdim": 8, "n_mamba_heads": 8, "mamba_d_state": 8, "chunk_size": 16},
        **{"layers_block_type": ["linear_attention", "hybrid"], "num_mem_blocks": 1},
    },
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"], "mamba_dt_rank": 4},
    "perceiver": {
        "num_latents": 8,
        "d_latents": 32,
        "num_self_attends_per_block": 2,
        "num_self_attention_heads": 4,
        "num_cross_attention_heads": 4,
    },
    "reformer": {"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16]},
    "roc_bert": {
        "shape_vocab_size": 32,
        "pronunciation_vocab_size": 32,
        "shape_embed_dim": 16,
        "pronunciation_embed_dim": 16,
    },
}
CORRECTIONS["segformer"] = {**_PYRAMID, "decoder_hidden_size": 16}
CORRECTIONS["pvt_v2"] = {**_PYRAMID, "patch_sizes": [7, 3]}


def class_for(names: Mapping[str, Any], model_type: str) -> type[PreTrainedModel]:
    """The class that one of the mappings of `modeling_auto` has for a model type; the first if it has several."""
    name = names[model_type]
    kind: type[PreTrainedModel] = getattr(transformers, name if isinstance(name, str) else name[0])
    return kind


class NotTinyError(Exception):
    """A model type that the rule for sizes does not shrink, or that cannot be built here; the text says why."""


def tiny_model(kind: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    """A model of that class with random weights, in evaluation mode.

    The weights are larger than those that training starts with, so that what any of them does is seen in the outputs.

    Raises:
        NotTinyError: If it cannot be built, or has more than 2 million parameters.
    """
    try:
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in kind(config).parameters())
    except Exception as error:
        raise NotTinyError(one_line(error)) from error
    if size > LARGEST:
        raise NotTinyError(f"{size:,} parameters")
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() < 2:
                parameter += 0.1 * torch.randn_like(parameter)
            else:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    return model.eval()


def one_line(error: BaseException) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:160]


def tiny_inputs(model: PreTrainedModel, rows: int = 3) -> dict[str, Tensor]:
    """A batch for any of the models: words, pictures or sound, as the first argument of its forward asks."""
    config, names = model.config, inspect.signature(model.forward).parameters
    inputs: dict[str, Tensor] = {}
    choices = (2,) if "MultipleChoice" in type(model).__name__ else ()
    if "input_ids" in names:
        inputs["input_ids"] = _tokens(*(rows, *choices, TOKENS))
        if "attention_mask" in names:
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "decoder_input_ids" in names and _needs_decoder_ids(model):
        inputs["decoder_input_ids"] = _tokens(rows, TOKENS)
    if "pixel_values" in names:
        size = getattr(getattr(config, "vision_config", config), "image_size", IMAGE)
        inputs["pixel_values"] = torch.randn(rows, 3, *(size if not isinstance(size, int) else (size, size)))
    if "spatial_shapes" in names:
        inputs.update(_patches(rows))
    if "bbox" in names:
        inputs["bbox"] = torch.tensor([0, 0, 1, 1]).repeat(rows, TOKENS, 1)
    if "input_values" in names:
        is_spectrogram = hasattr(config, "max_length") and hasattr(config, "num_mel_bins")
        shape = (config.max_length, config.num_mel_bins) if is_spectrogram else (SAMPLES,)
        inputs["input_values"] = torch.randn(rows, *shape)
    if "input_features" in names:
        inputs["input_features"] = torch.randn(rows, *_feature_shape(config))
    return inputs


def _tokens(*shape: int) -> Tensor:
    """Random words, the last of each row the end token."""
    ids = torch.randint(4, VOCABULARY - 2, shape)
    ids[..., -1] = 2
    return ids


def _patches(rows: int) -> dict[str, Tensor]:
    """Pictures that are cut up already, as SigLIP 2 has them."""
    pixels = torch.randn(rows, 16, 3 * PATCH**2)
    shapes = torch.tensor([4, 4]).repeat(rows, 1)
    return {"pixel_values": pixels, "pixel_attention_mask": torch.ones(rows, 16).long(), "spatial_shapes": shapes}


def _needs_decoder_ids(model: PreTrainedModel) -> bool:
    return model.main_input_name != "input_ids" or "ForConditionalGeneration" in type(model).__name__


def _feature_shape(config: PreTrainedConfig) -> tuple[int, int]:
    if config.model_type == "whisper":
        return config.num_mel_bins, 2 * config.max_source_positions
    width = getattr(config, "feature_projection_input_dim", None) or getattr(config, "input_feat_per_channel", 16)
    return FRAMES, width


def tiny_config(model_type: str, **changes: Any) -> PreTrainedConfig:  # noqa: ANN401
    """The smallest sensible configuration of a model type.

    Raises:
        NotTinyError: If the rule for sizes does not fit it.
    """
    try:
        return _shrunk(type(AutoConfig.for_model(model_type)), {**CORRECTIONS.get(model_type, {}), **changes})
    except Exception as error:
        raise NotTinyError(one_line(error)) from error


def _shrunk(kind: type[PreTrainedConfig], changes: dict[str, Any]) -> PreTrainedConfig:
    names = inspect.signature(kind).parameters.keys() | {"num_labels"}
    values = {name: value for name, value in _BY_NAME.items() if name in names}
    for name, inner in kind.sub_configs.items():
        if hasattr(inner, "sub_configs") and inner is not AutoConfig and name not in changes:
            values[name] = _shrunk(inner, {}).to_dict()
    config = kind(**{**values, **changes})
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = 0
    return config
