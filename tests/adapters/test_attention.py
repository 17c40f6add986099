"""Default targets: the query and value projections of every attention module, found by structure."""

import pytest
import torch
from families import EXPECTED, each_family
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from dylora.adapters.head import task_head
from dylora.adapters.targets import find_targets
from dylora.errors import InputError

# What each architecture was adapted at when its names stood in a table; checkpoints depend on it.
PATTERNS = {
    **dict.fromkeys(["albert", "bert", "camembert", "electra", "roberta", "xlm-roberta"], ("query", "value")),
    **dict.fromkeys(["bart", "llama", "mistral", "opt", "qwen2", "qwen3"], ("q_proj", "v_proj")),
    **dict.fromkeys(["mt5", "t5"], ("q", "v")),
    "deberta-v2": ("query_proj", "value_proj"),
    "distilbert": ("q_lin", "v_lin"),
    "gpt2": ("attn.c_attn[q,v]",),
}


@each_family
def test_the_first_architectures_keep_their_targets_in_their_order(model_type, make_model):
    model = make_model(model_type)
    targets = find_targets(model, None, task_head(model))
    parents, children = EXPECTED[model_type]
    expected = {f"{parent}.{child}" for parent in parents for child in children}
    assert [target.name for target in targets] == [name for name, _ in model.named_modules() if name in expected]
    assert {tuple(target.slices) for target in targets} == {("q", "v") if model_type == "gpt2" else ()}


@each_family
def test_the_first_architectures_find_what_their_names_found(model_type, make_model):
    model = make_model(model_type, AutoModel)
    assert find_targets(model, None) == find_targets(model, PATTERNS[model_type])


# What is adapted in each of the attention modules, and the model types of transformers of which that holds.
GROUPS = {
    "query value": """
        bert big_bird ernie flava longformer nystromformer rembert roc_bert roformer splinter tapas xmod yoso layoutlm
        mra convbert data2vec-text megatron-bert mobilebert canine lxmert vilt videomae yolos swinv2 dpt vjepa2 pvt clap
        perceiver visual_bert
    """,
    "q_proj v_proj": """
        bart mbart pegasus marian m2m_100 blenderbot fsmt gpt_neo gptj opt xglm llama mistral gemma gemma2 gemma3_text
        gemma3n_text qwen2 qwen3 qwen2_moe mixtral olmo olmo2 cohere phi stablelm starcoder2 granite smollm3 glm gpt_oss
        recurrent_gemma falcon_h1 vit deit beit dinov2 swin vit_mae clip siglip owlvit segformer whisper wav2vec2 hubert
        unispeech data2vec-audio speech_to_text
    """,
    "q v": "t5 mt5 umt5 longt5 switch_transformers udop mpnet",
    "q_lin v_lin": "distilbert flaubert xlm",
    "query_proj value_proj": "deberta-v2 prophetnet sew-d",
    "linear_q linear_v": "wav2vec2-conformer wav2vec2-bert",
    "Wq Wv": "ctrl",
    "q_head v_head": "funnel",
    "projection_query projection_value": "cvt",
    "project_q project_v": "cpmant",
    "query_key query value": "reformer",
    "query value q_proj v_proj": "led",
    "q_proj.linear v_proj.linear": "gemma4_vision",
    "c_attn[q,v]": "gpt2 openai-gpt imagegpt gpt_bigcode decision_transformer",
    "query_key_value[q,v]": "bloom gpt_neox falcon persimmon gpt_neox_japanese",
    "Wqkv[q,v]": "modernbert mpt",
    "qkv_proj[q,v]": "phi3 codegen",
    "in_proj[q,v]": "deberta",
    "att_proj[q,v]": "bark",
    "qkv[q,v]": "sam_vision_model timesformer hiera qwen2_5_vl_vision",
    "qkv[q,v] q_proj v_proj": "qwen2_vl qwen2_5_vl",
    "qkv[q,v] query value": "blip",
    "qkv[q,v] query value q_proj v_proj": "blip-2",
    "q_b_proj kv_b_proj[v]": "deepseek_v3",
    "in_proj_qkvz[q,v] q_proj v_proj": "qwen3_next",
}
TYPES = {model_type: set(names.split()) for names, types in GROUPS.items() for model_type in types.split()}


def make(model_type):
    """The model in its default size, without memory."""
    config = AutoConfig.for_model(model_type)
    config.architectures = config.architectures or []
    with torch.device("meta"):
        return AutoModel.from_config(config)


def label(target):
    name = target.name.removesuffix(".linear").rpartition(".")[2]
    inner = ".linear" if target.name.endswith(".linear") else ""
    return name + inner + (f"[{','.join(target.slices)}]" if target.slices else "")


def attention_modules(model):
    """Modules called attention that have a layer of their own called after a query."""
    for name, module in model.named_modules():
        names = [child for child, _ in module.named_children()]
        if "ttention" in type(module).__name__ and any(
            child.startswith("q") and "norm" not in child for child in names
        ):
            yield name


def test_there_are_a_hundred_model_types_and_more():
    assert len(TYPES) >= 100


@pytest.mark.parametrize("model_type", TYPES)
def test_default_targets_are_query_and_value_of_every_attention(model_type):
    model = make(model_type)
    targets = find_targets(model, None, task_head(model))
    assert {label(target) for target in targets} == TYPES[model_type]
    parents = {target.name.removesuffix(".linear").rpartition(".")[0] for target in targets}
    assert set(attention_modules(model)) <= parents


def test_a_layer_that_takes_its_values_from_another_is_adapted_at_its_query():
    model = make("gemma3n_text")
    own = [name for name, module in model.named_modules() if hasattr(module, "q_proj")]
    shared = [name for name in own if not hasattr(model.get_submodule(name), "v_proj")]
    assert shared
    assert {f"{name}.q_proj" for name in own} <= {target.name for target in find_targets(model, None)}


def test_cross_attention_is_adapted_as_self_attention_is(make_model):
    model = make_model("bert", AutoModelForCausalLM, is_decoder=True, add_cross_attention=True)
    names = {target.name for target in find_targets(model, None)}
    assert {f"bert.encoder.layer.0.crossattention.self.{part}" for part in ("query", "value")} <= names


def test_the_head_is_left_alone_and_so_is_a_module_with_a_query_only():
    model = nn.ModuleDict({"block": nn.ModuleDict({"query": nn.Linear(2, 2), "value": nn.Linear(2, 2)})})
    model["head"] = nn.ModuleDict({"query": nn.Linear(2, 2), "value": nn.Linear(2, 2)})
    head = list(model["head"].parameters())
    assert [target.name for target in find_targets(model, None, head)] == ["block.query", "block.value"]


@pytest.mark.parametrize("model_type", ["mamba", "fnet", "resnet"])
def test_a_model_without_attention_is_refused_with_candidates_that_work(model_type):
    model = make(model_type)
    with pytest.raises(
        InputError, match=rf"got nothing for '{model_type}'; choose from this model's linear modules: "
    ) as e:
        find_targets(model, None)
    candidates = str(e.value).rpartition(": ")[2]
    if model_type != "resnet":
        assert find_targets(model, candidates.split(", "))
