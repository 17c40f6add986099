"""Exports of every kind of model, loaded in one process that imports `peft` and `transformers` alone."""

import json
import subprocess
import sys
from contextlib import ExitStack, nullcontext

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.quantizers.quantizer_gguf import GgufHfQuantizer
from transformers.utils.quantization_config import GgufConfig

from dylora.adapters.active_rank import set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.budget import pooled_values, truncated
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.cuts import cut
from dylora.adapters.export import peft_adapter
from dylora.adapters.merging import merge, unmerge
from dylora.deploy.merged_folder import write_merged
from dylora.deploy.peft_folder import write_peft
from dylora.errors import InputError

_LOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch, transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file

for case in json.load(open(sys.argv[1])):
    kind, inputs = getattr(transformers, case["class"]), load_file(case["folder"] + "/inputs.safetensors")
    model = kind.from_pretrained(case["folder"] + "/base")
    model = PeftModel.from_pretrained(model, case["folder"] + "/peft").eval()
    with torch.no_grad():
        found = {"logits": model(**inputs).logits}
        if case["writes"]:
            prompt = {key: value for key, value in inputs.items() if key != "labels"}
            found["text"] = model.generate(**prompt, max_new_tokens=6, do_sample=False)
    save_file(found, case["folder"] + "/found.safetensors")
assert "dylora" not in sys.modules
"""
CASES = {
    "bert": ("bert", AutoModelForSequenceClassification, {}),
    "bert, a cut": ("bert", AutoModelForSequenceClassification, {"cut": "svd"}),
    "bert, ranks of modules": ("bert", AutoModelForSequenceClassification, {"cut": "svd", "ranks": True}),
    "roberta, alpha/max_rank": ("roberta", AutoModelForSequenceClassification, {"scaling": "alpha/max_rank"}),
    "bert, geometric": ("bert", AutoModelForSequenceClassification, {"scaling": "alpha/sqrt(b*max_rank)"}),
    "gpt2": ("gpt2", AutoModelForCausalLM, {}),
    "llama": ("llama", AutoModelForCausalLM, {}),
    "t5": ("t5", AutoModelForSeq2SeqLM, {}),
    "vit": ("vit", None, {}),
}


def built(model_type, auto, make_model):
    torch.manual_seed(0)
    if model_type != "vit":
        return make_model(model_type, auto)
    sizes = {"image_size": 8, "patch_size": 4, "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2}
    return ViTForImageClassification(ViTConfig(**sizes, intermediate_size=16, num_labels=3)).eval()


def inputs_of(model, token_ids):
    if model.main_input_name == "pixel_values":
        return {"pixel_values": torch.randn(2, 3, 8, 8)}
    inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
    return {**inputs, "labels": token_ids.clone()} if model.config.is_encoder_decoder else inputs


@torch.no_grad()
def exported(folder, model_type, auto, options, make_model, randomise, token_ids):
    """Write base, adapter and inputs; gives what the fresh process is told, and what it has to find."""
    model = built(model_type, auto, make_model)
    model.save_pretrained(folder / "base")
    randomise(adapt(model, DyLoRAConfig(3, alpha=8, scaling=options.get("scaling", "alpha/b"))))
    inputs = inputs_of(model, token_ids)
    save_file(inputs, folder / "inputs.safetensors")
    writes = model.can_generate()
    with cut(model, options["cut"]) if "cut" in options else nullcontext(), ExitStack() as block:
        rank, active = 2, 2
        if "ranks" in options:
            rank, active = {name: 1 + place % 3 for place, name in enumerate(pooled_values(model))}, 3
        write_peft(folder / "peft", peft_adapter(model, rank))
        if "ranks" in options:
            block.enter_context(truncated(model, rank))
        set_rank(model, active)
        expected = {"logits": model(**inputs).logits}
        if writes:
            prompt = {key: value for key, value in inputs.items() if key != "labels"}
            expected["text"] = model.generate(**prompt, max_new_tokens=6, do_sample=False)
    return {"class": type(model).__name__, "folder": str(folder), "writes": writes}, expected


@pytest.mark.slow
def test_every_kind_of_model_computes_and_writes_the_same(make_model, randomise, token_ids, tmp_path):
    cases, expected = [], {}
    for name, (model_type, auto, options) in CASES.items():
        folder = tmp_path / str(len(cases))
        folder.mkdir()
        case, expected[name] = exported(folder, model_type, auto, options, make_model, randomise, token_ids)
        cases.append(case)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    subprocess.run([sys.executable, "-c", _LOAD, str(tmp_path / "cases.json")], check=True, cwd=tmp_path)
    for case, (name, wanted) in zip(cases, expected.items(), strict=True):
        found = load_file(f"{case['folder']}/found.safetensors")
        torch.testing.assert_close(found["logits"], wanted["logits"], rtol=0, atol=1e-5, msg=name)
        assert not case["writes"] or torch.equal(found["text"], wanted["text"]), name
    assert sum(case["writes"] for case in cases) == 3


@pytest.mark.parametrize(
    ("model_type", "auto"), [("bert", AutoModelForSequenceClassification), ("gpt2", AutoModelForCausalLM)]
)
@torch.no_grad()
def test_a_merged_folder_is_the_merged_model_bit_for_bit(model_type, auto, adapted, token_ids, tmp_path):
    model = adapted(model_type, auto)
    write_merged(tmp_path / "merged", model, 2)
    merge(model, 2)
    expected = model(input_ids=token_ids).logits
    unmerge(model)
    loaded = auto.from_pretrained(tmp_path / "merged").eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, expected)
    assert not [
        name for name in load_file(tmp_path / "merged" / "model.safetensors") if "lora" in name or "base_layer" in name
    ]
    write_merged(tmp_path / "half", model, 2, "bfloat16")
    assert auto.from_pretrained(tmp_path / "half", dtype="auto").dtype == torch.bfloat16


@torch.no_grad()
def test_weights_that_were_read_from_a_gguf_file_are_written_as_plain_ones(adapted, token_ids, tmp_path):
    """Transformers refuses to write a model that it read from such a file."""
    model = adapted("llama", AutoModelForCausalLM)
    model.config.quantization_config = GgufConfig()
    model.hf_quantizer = GgufHfQuantizer(GgufConfig())
    write_merged(tmp_path / "merged", model, 2)
    set_rank(model, 2)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    expected = model(input_ids=token_ids).logits
    torch.testing.assert_close(loaded(input_ids=token_ids).logits, expected, rtol=0, atol=1e-5)
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())


def test_a_quantised_merge_is_refused(adapted, tmp_path):
    model = adapted("bert")
    layer = model.bert.encoder.layer[0].attention.self.query.base_layer
    layer.weight = torch.nn.Parameter(layer.weight.data.to(torch.int8), requires_grad=False)
    with pytest.raises(InputError, match="model: must be of floating-point weights, got quantised ones"):
        write_merged(tmp_path / "merged", model, 2)
    assert not (tmp_path / "merged").exists()
