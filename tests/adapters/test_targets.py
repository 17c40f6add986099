"""Which modules are adapted: defaults of the known architectures, patterns, and errors that list the candidates."""

import pytest
import torch
from families import EXPECTED
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from dylora.adapters.targets import DEFAULT_TARGETS, find_targets, is_linear_like
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
        find_targets(model, patterns or None)
    message = str(caught.value)
    assert message.startswith("target_modules: must be ")
    assert "\n" not in message
    return message


def test_every_architecture_with_a_default_is_in_this_test():
    assert set(EXPECTED) == set(DEFAULT_TARGETS)


@pytest.mark.parametrize("model_type", EXPECTED)
def test_default_targets_are_the_query_and_value_projections(model_type, make_model):
    parents, children = EXPECTED[model_type]
    targets = find_targets(make_model(model_type), None)
    assert sorted(names(targets)) == sorted(f"{parent}.{child}" for parent in parents for child in children)
    assert {target.thirds for target in targets} == {("q", "v") if model_type == "gpt2" else ()}


def test_gpt2_default_leaves_cross_attention_alone(make_model):
    model = make_model("gpt2", AutoModelForCausalLM, add_cross_attention=True)
    assert any(name.endswith("crossattention.c_attn") for name, _ in model.named_modules())
    assert names(find_targets(model, None)) == ["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"]


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


@pytest.mark.parametrize(("pattern", "thirds"), [("fused[q,v]", ("q", "v")), ("fused[k]", ("k",)), ("fused", ())])
def test_brackets_choose_the_thirds_of_a_fused_projection(pattern, thirds):
    (target,) = find_targets(Block(), [pattern])
    assert (target.name, target.thirds) == ("fused", thirds)


def test_a_module_that_stands_at_two_names_is_found_at_both():
    model = nn.Module()
    model.a = nn.Linear(3, 3)
    model.b = model.a
    assert names(find_targets(model, ["?"])) == ["a", "b"]


def test_a_layer_with_features_and_a_weight_is_linear_like():
    class Quantised(nn.Module):
        in_features, out_features = 4, 2

        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.zeros(2, 4, dtype=torch.int8))

    assert is_linear_like(Quantised())
    assert not is_linear_like(nn.Embedding(4, 2))
    assert not is_linear_like(nn.LayerNorm(4))


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
    assert message.endswith("choose from dense, key, out_proj, query, value")


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
