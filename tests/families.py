"""The architectures with default targets: what is adapted and what is the task head, name by name."""

import pytest
import torch

_ENCODER = "encoder.layer.{}.attention.self"
_DECODER = "model.layers.{}.self_attn"
_T5_SELF = "transformer.{}.block.{}.layer.0.SelfAttention"
# model type: the modules that hold the query and value projections of a model of 2 layers, and their names in there
EXPECTED = {
    "albert": (["albert.encoder.albert_layer_groups.0.albert_layers.0.attention"], ["query", "value"]),
    "bart": (
        [f"model.encoder.layers.{i}.self_attn" for i in (0, 1)]
        + [f"model.decoder.layers.{i}.{part}" for i in (0, 1) for part in ("self_attn", "encoder_attn")],
        ["q_proj", "v_proj"],
    ),
    "bert": ([f"bert.{_ENCODER.format(i)}" for i in (0, 1)], ["query", "value"]),
    "camembert": ([f"roberta.{_ENCODER.format(i)}" for i in (0, 1)], ["query", "value"]),
    "deberta-v2": ([f"deberta.{_ENCODER.format(i)}" for i in (0, 1)], ["query_proj", "value_proj"]),
    "distilbert": ([f"distilbert.transformer.layer.{i}.attention" for i in (0, 1)], ["q_lin", "v_lin"]),
    "electra": ([f"electra.{_ENCODER.format(i)}" for i in (0, 1)], ["query", "value"]),
    "gpt2": ([f"transformer.h.{i}.attn" for i in (0, 1)], ["c_attn"]),
    "llama": ([_DECODER.format(i) for i in (0, 1)], ["q_proj", "v_proj"]),
    "mistral": ([_DECODER.format(i) for i in (0, 1)], ["q_proj", "v_proj"]),
    "mt5": (
        [_T5_SELF.format(part, i) for part in ("encoder", "decoder") for i in (0, 1)]
        + [f"transformer.decoder.block.{i}.layer.1.EncDecAttention" for i in (0, 1)],
        ["q", "v"],
    ),
    "opt": ([f"model.decoder.layers.{i}.self_attn" for i in (0, 1)], ["q_proj", "v_proj"]),
    "qwen2": ([_DECODER.format(i) for i in (0, 1)], ["q_proj", "v_proj"]),
    "qwen3": ([_DECODER.format(i) for i in (0, 1)], ["q_proj", "v_proj"]),
    "roberta": ([f"roberta.{_ENCODER.format(i)}" for i in (0, 1)], ["query", "value"]),
    "xlm-roberta": ([f"roberta.{_ENCODER.format(i)}" for i in (0, 1)], ["query", "value"]),
}
EXPECTED["t5"] = EXPECTED["mt5"]
_TWO_LAYERS = {f"classifier.{layer}.{kind}" for layer in ("dense", "out_proj") for kind in ("weight", "bias")}
_ONE_LAYER = {"classifier.weight", "classifier.bias"}
_T5_HEAD = {name.replace("classifier", "classification_head") for name in _TWO_LAYERS}
HEADS = {
    "albert": {*_ONE_LAYER, "albert.pooler.weight", "albert.pooler.bias"},
    "bart": _T5_HEAD,
    "bert": {*_ONE_LAYER, "bert.pooler.dense.weight", "bert.pooler.dense.bias"},
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
each_family = pytest.mark.parametrize("model_type", EXPECTED)


@torch.no_grad()
def logits(model, token_ids):
    """The model's output for rows without padding."""
    return model(input_ids=token_ids, attention_mask=torch.ones_like(token_ids)).logits
