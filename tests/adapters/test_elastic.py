"""LoRAs of PEFT made elastic: PEFT's function at the largest rank, the best part of it below."""

import pytest
import torch
from families import logits
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from dylora.adapters.active_rank import adapted_layers, rank_state, set_rank
from dylora.adapters.elastic import adapt_from_peft
from dylora.adapters.export import peft_adapter
from dylora.adapters.sensitivity import gather_sensitivities
from dylora.deploy.peft_folder import read_peft
from dylora.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's


@pytest.fixture
def lora(make_model, tmp_path):
    """Build a LoRA of PEFT with random factors, saved; gives PEFT's model and the content of its files."""

    def build(model_type="bert", auto=AutoModelForSequenceClassification, task="SEQ_CLS", **options):
        torch.manual_seed(0)
        config = LoraConfig(task_type=task, **{"r": 4, "lora_alpha": 6, **options})
        model = get_peft_model(make_model(model_type, auto), config).eval()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = torch.randn_like(parameter) * 0.3
        model.save_pretrained(tmp_path / "peft", save_embedding_layers=False)
        return model, read_peft(tmp_path / "peft")

    return build


OPTIONS = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"layer.1.attention.self.query": 2}, "alpha_pattern": {"value": 3, "0.*query": 11}},
    "more modules": {"target_modules": ["query", "key", "attention.output.dense"]},
    "saved": {"modules_to_save": ["pooler"]},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_at_the_largest_rank_it_is_pefts_function(options, lora, make_model, token_ids):
    model, adapter = lora(**options)
    torch.manual_seed(0)
    ours = adapt_from_peft(make_model("bert"), adapter).eval()
    torch.testing.assert_close(logits(ours, token_ids), logits(model, token_ids), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "auto", "task", "targets"),
    [
        ("gpt2", AutoModelForCausalLM, "CAUSAL_LM", ["c_attn", "c_fc"]),
        ("llama", AutoModelForCausalLM, "CAUSAL_LM", "all-linear"),
        ("t5", AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM", ["q", "v"]),
    ],
)
def test_models_that_write_text(model_type, auto, task, targets, lora, make_model, token_ids):
    model, adapter = lora(model_type, auto, task, target_modules=targets, fan_in_fan_out=model_type == "gpt2")
    torch.manual_seed(0)
    ours = adapt_from_peft(make_model(model_type, auto), adapter).eval()
    expected, found = (m(input_ids=token_ids, labels=token_ids).logits for m in (model, ours))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_every_lower_rank_is_the_best_approximation(lora, make_model):
    model, adapter = lora(alpha_pattern={"query": 2})
    torch.manual_seed(0)
    ours = adapt_from_peft(make_model("bert"), adapter)
    for name, layer in ours.named_modules():
        if layer not in adapted_layers(ours):
            continue
        theirs = model.get_submodule(f"base_model.model.{name}").get_delta_weight("default")
        u, values, vh = torch.linalg.svd(theirs)
        for rank in (1, 2, 3, 4):
            best = u[:, :rank] * values[:rank] @ vh[:rank]
            torch.testing.assert_close(layer.delta_weight(rank), best, rtol=0, atol=1e-5)
    assert tuple(rank_state(ours).config.ranks) == (1, 2, 3, 4)


def test_calibrated_it_is_the_same_function_in_another_order(lora, make_model, token_ids):
    model, adapter = lora()

    def calibrate(ours):
        return gather_sensitivities(ours, [{"input_ids": token_ids}], lambda b: ours(**b).logits, "classes")

    def made(calibrate, rank):
        torch.manual_seed(0)
        ours = adapt_from_peft(make_model("bert"), adapter, calibrate).eval()
        set_rank(ours, rank)
        return logits(ours, token_ids)

    torch.testing.assert_close(made(calibrate, 4), logits(model, token_ids), rtol=0, atol=1e-4)
    assert not torch.allclose(made(calibrate, 1), made(None, 1), atol=1e-3)


def test_and_back_again_at_a_lower_rank(lora, make_model):
    _, adapter = lora()
    ours = adapt_from_peft(make_model("bert"), adapter)
    again = peft_adapter(ours, 2)
    assert again.config["modules_to_save"] == ["bert.pooler", "classifier"]
    factor = again.config["lora_alpha"] / again.config["r"]
    assert factor == pytest.approx(6 / 4)


VARIANTS = {
    "DoRA": {"use_dora": True},
    "trained biases": {"bias": "lora_only"},
    "QA-LoRA": {"use_qalora": True},
    "replicated layers": {"layer_replication": [[0, 1]]},
    "ADALORA": {"peft_type": "ADALORA"},
    "LOKR": {"peft_type": "LOKR"},
    "init_lora_weights: pissa": {"init_lora_weights": "pissa"},
}


@pytest.mark.parametrize(("named", "change"), VARIANTS.items(), ids=VARIANTS)
def test_other_variants_are_refused_by_name(named, change, lora, make_model):
    _, adapter = lora()
    adapter.config.update(change)
    with pytest.raises(InputError, match=f"PEFT_DIR: must be a plain LoRA, got .*{named}"):
        adapt_from_peft(make_model("bert"), adapter)


def test_another_base_model_is_refused_before_anything_changes(lora, make_model):
    _, adapter = lora()
    wider = make_model("bert", hidden_size=32)
    with pytest.raises(InputError, match=r"an adapter of this base model .*widths \(16, 16\) for .* has \(32, 32\)"):
        adapt_from_peft(wider, adapter)
    with pytest.raises(InputError, match=r"bert.encoder.* which is no linear layer in it"):
        adapt_from_peft(make_model("roberta"), adapter)
    adapt_from_peft(make_model("bert"), adapter)
