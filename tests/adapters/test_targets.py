"""Which modules are adapted: patterns, what they never match, and errors that list the candidates."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.head import task_head
from dylora.adapters.targets import find_targets
from dylora.errors import InputError


def names(targets):
    return [target.name for target in targets]


class Block(nn.Module):
    """A module with one of each kind."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(4, 6)
        self.norm = nn.LayerNorm(6)
        self.query = nn.Linear(6, 6)
        self.my_query = nn.Linear(6, 6)
        self.fused = Conv1D(18, 6)
        self.wide = Conv1D(24, 6)
        self.inner = nn.ModuleDict({"query": nn.Linear(6, 3), "norm": nn.LayerNorm(3)})


def error_of(model, *patterns):
    with pytest.raises(InputError) as caught:
        find_targets(model, patterns or None, task_head(model))
    message = str(caught.value)
    assert message.startswith("target_modules: must be ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["query"], ["query", "inner.query"]),
        (["inner.query"], ["inner.query"]),
        (["*query"], ["query", "my_query", "inner.query"]),
        (["quer?"], ["query", "inner.query"]),
        (["inner.*"], ["inner.query"]),
        (["fused", "query", "q*y"], ["query", "fused", "inner.query"]),
        (["*"], ["query", "my_query", "fused", "wide", "inner.query"]),
        ("my_query", ["my_query"]),
    ],
)
def test_a_pattern_is_the_last_parts_of_a_dotted_name(patterns, expected):
    assert names(find_targets(Block(), patterns)) == expected


@pytest.mark.parametrize(("pattern", "thirds"), [("fused[q,v]", ("q", "v")), ("fused[k]", ("k",)), ("fused", ("all",))])
def test_brackets_choose_the_thirds_of_a_fused_projection(pattern, thirds):
    (target,) = find_targets(Block(), [pattern])
    assert (target.name, tuple(target.slices)) == ("fused", thirds)


def test_of_two_patterns_the_later_counts_and_slices_add_up():
    def slices(*patterns):
        return {target.name: set(target.slices) for target in find_targets(Block(), patterns)}["fused"]

    assert slices("*", "fused[q,v]") == slices("fused[v]", "fused[q]") == {"q", "v"}
    assert slices("fused[q,v]", "*") == {"all"}


def test_a_module_that_stands_at_two_names_is_found_at_both():
    model = nn.Module()
    model.a = nn.Linear(3, 3)
    model.b = model.a
    assert names(find_targets(model, ["?"])) == ["a", "b"]


def test_the_output_projection_inside_multi_head_attention_is_refused_since_it_is_never_called():
    message = error_of(nn.TransformerEncoderLayer(8, 2), "out_proj")
    assert message.endswith("choose from linear1, linear2")


def test_a_pattern_that_matches_nothing_lists_the_candidates():
    message = error_of(Block(), "query", "querry")
    assert "got 'querry', which matches nothing" in message
    assert message.endswith("choose from fused, my_query, query, wide")


@pytest.mark.parametrize(("pattern", "kind"), [("embedding", "Embedding"), ("norm", "LayerNorm")])
def test_a_pattern_that_matches_only_other_modules_says_which(pattern, kind):
    message = error_of(Block(), pattern)
    assert f"got '{pattern}', which matches only modules that are not linear ({kind})" in message
    assert message.endswith("choose from fused, my_query, query, wide")


def test_the_candidates_of_a_real_model_are_its_linear_modules(make_model):
    message = error_of(make_model("roberta"), "word_embeddings")
    assert "(Embedding)" in message
    assert message.endswith("choose from dense, key, query, value")


@pytest.mark.parametrize("pattern", ["*", "dense", "out_proj", "*proj"])
def test_no_pattern_matches_inside_the_trained_head(pattern, make_model):
    model = make_model("bart")
    head = {name for name, p in model.named_parameters() if any(p is other for other in task_head(model))}
    assert head == {
        f"classification_head.{layer}.{kind}" for layer in ("dense", "out_proj") for kind in ("weight", "bias")
    }
    if pattern == "dense":
        with pytest.raises(InputError, match=r"matches only classification_head.dense, a part of the task head"):
            adapt(model, DyLoRAConfig(2, target_modules=[pattern]))
        return
    adapt(model, DyLoRAConfig(2, target_modules=[pattern]))
    assert {name for name, p in model.named_parameters() if p.requires_grad and "lora" not in name} == head
    assert not any("lora" in name for name, _ in model.named_parameters() if name.startswith("classification_head"))


def test_the_pooler_of_bert_is_a_part_of_the_head(make_model):
    model = make_model("bert")
    assert not any("pooler" in target.name for target in find_targets(model, ["dense"], task_head(model)))
    message = error_of(model, "pooler.dense")
    assert "got 'pooler.dense', which matches only bert.pooler.dense, a part of the task head" in message


def test_the_candidates_can_all_be_adapted(make_model):
    model = make_model("roberta")
    message = error_of(model, "nothing")
    assert message.endswith("choose from dense, key, query, value")
    for candidate in ("dense", "key", "query", "value"):
        assert find_targets(model, [candidate], task_head(model))


def test_a_layer_tied_to_an_embedding_is_refused_by_name_and_left_out_of_wildcards(make_model):
    model = make_model("gpt2", AutoModelForCausalLM)
    message = error_of(model, "lm_head")
    assert "matches only lm_head, tied to an embedding, so that resize_token_embeddings would drop" in message
    adapt(model, DyLoRAConfig(2, target_modules=["*"]))
    assert model.resize_token_embeddings(44).weight is model.lm_head.weight
    free = make_model("llama", AutoModelForCausalLM, tie_word_embeddings=False)
    assert names(find_targets(free, ["lm_head"])) == ["lm_head"]


@pytest.mark.parametrize(
    ("model_type", "sizes", "pattern", "kind"),
    [
        ("ibert", {"intermediate_size": 24}, "query", "QuantLinear"),
        ("mixtral", {"intermediate_size": 24, "num_key_value_heads": 2}, "gate", "MixtralTopKRouter"),
        ("llama4_text", {"intermediate_size": 24, "num_key_value_heads": 2}, "router", "Llama4Router"),
        ("phimoe", {"intermediate_size": 24, "num_key_value_heads": 2}, "router", "PhimoeTopKRouter"),
    ],
)
def test_what_returns_more_than_a_linear_map_is_refused_by_name(model_type, sizes, pattern, kind):
    shared = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0}
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model(model_type, **shared, **sizes))
    assert f"not linear ({kind})" in error_of(model, pattern)
    assert not any(type(target.module).__name__ == kind for target in find_targets(model, ["*"]))


def test_a_model_without_linear_modules_says_so():
    assert "this model has no linear modules" in error_of(nn.Sequential(nn.LayerNorm(3)), "query")


@pytest.mark.parametrize("pattern", ["query[q,v]", "wide[q,v]"])
def test_brackets_are_refused_where_nothing_is_fused(pattern):
    assert f"got '{pattern}' at {pattern.removesuffix('[q,v]')}" in error_of(Block(), pattern)


def test_an_empty_list_is_refused():
    with pytest.raises(InputError, match="got an empty list"):
        find_targets(Block(), [])


def test_an_unknown_architecture_lists_the_candidates():
    message = error_of(Block())
    assert "got nothing for 'Block'" in message
    assert "fused, my_query, query, wide" in message


def test_factors_have_the_names_that_checkpoints_know(make_model):
    model = adapt(make_model("gpt2"), DyLoRAConfig(2, target_modules=["c_attn[q,v]", "mlp.c_proj"]))
    names = {name for name, _ in model.named_parameters() if "h.0." in name and "lora_A" in name}
    expected = {"attn.c_attn.factors.q.lora_A", "attn.c_attn.factors.v.lora_A", "mlp.c_proj.factors.all.lora_A"}
    assert names == {f"transformer.h.0.{name}" for name in expected}
    model = adapt(make_model("bert"), DyLoRAConfig(2))
    assert "bert.encoder.layer.0.attention.self.query.factors.lora_A" in dict(model.named_parameters())
