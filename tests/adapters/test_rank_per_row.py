"""A rank per row only where rows are kept apart: found out on a batch, also with as many rows as tokens."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    CLIPConfig,
    CLIPModel,
    FSMTConfig,
    FSMTForConditionalGeneration,
    LEDConfig,
    LEDForConditionalGeneration,
    LongformerConfig,
    LongformerForSequenceClassification,
    NllbMoeConfig,
    NllbMoeForConditionalGeneration,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
    XLNetConfig,
    XLNetForSequenceClassification,
)

from dylora.adapters.active_rank import rank_state, set_rank, use_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.merging import merge
from dylora.adapters.rank_per_row import check_rank_per_row, may_stack, takes_rank_per_row
from dylora.errors import InputError

MAX_RANK = 4
SIZES = [(3, 8), (8, 8), (4, 12)]  # rows and tokens; as many of both, too
_ENCODER = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_ENCODER |= {"intermediate_size": 24, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_PARTS = {f"{part}_{what}": 2 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")}
_PARTS |= {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
_POSITIONS = {"max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64}
_MOE = {"num_experts": 4, "encoder_sparse_step": 1, "decoder_sparse_step": 1}
_IMAGES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
_IMAGES |= {"image_size": 8, "patch_size": 4}


class TimeFirst(nn.Module):
    """Takes and gives (rows, tokens, width); inside, dimension 0 is time."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(40, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=False, dropout=0.0)

    def forward(self, input_ids, attention_mask):
        return self.layer(self.embedding(input_ids).transpose(0, 1)).transpose(0, 1)


def longformer():
    config = LongformerConfig(**_ENCODER, attention_window=4, max_position_embeddings=32)
    return LongformerForSequenceClassification(config)


def led():
    return LEDForConditionalGeneration(LEDConfig(**_PARTS, **_POSITIONS, vocab_size=40, attention_window=4))


def fsmt():
    vocabularies = {"src_vocab_size": 40, "tgt_vocab_size": 40, "langs": ["a", "b"]}
    return FSMTForConditionalGeneration(FSMTConfig(**_PARTS, **vocabularies, max_position_embeddings=32))


def xlnet():
    return XLNetForSequenceClassification(XLNetConfig(vocab_size=40, d_model=16, n_layer=2, n_head=2, d_inner=24))


def nllb():
    return NllbMoeForConditionalGeneration(NllbMoeConfig(**_PARTS, **_MOE, vocab_size=40))


def switch():
    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_heads": 2, "num_experts": 4}
    return SwitchTransformersForConditionalGeneration(SwitchTransformersConfig(**sizes, num_layers=2))


def clip():
    text = {key: value for key, value in _ENCODER.items() if "pad" not in key}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=_IMAGES))


WRONG = {
    "Longformer": (longformer, ["query", "value"]),
    "LED": (led, ["query", "value"]),
    "FSMT": (fsmt, ["q_proj", "v_proj"]),
    "XLNet's feed-forward": (xlnet, ["layer_1", "layer_2"]),
    "NLLB-MoE's experts": (nllb, ["fc1"]),
    "Switch's experts": (switch, ["wi"]),
    "CLIP's two towers": (clip, ["q_proj", "v_proj"]),
    "time first": (TimeFirst, ["linear1", "linear2"]),
}


def inputs_for(model, rows, tokens):
    ids = torch.randint(5, 40, (rows, tokens))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if isinstance(model, CLIPModel):
        inputs["pixel_values"] = torch.randn(rows, 3, 8, 8)
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        inputs["decoder_input_ids"] = torch.randint(5, 40, (rows, tokens))
    return inputs


@pytest.mark.parametrize(("rows", "tokens"), SIZES)
@pytest.mark.parametrize("name", WRONG)
def test_a_model_that_mixes_rows_is_found_out_before_training(name, rows, tokens):
    """lora_B is zero: what the model itself computes at any rank is the same."""
    make, targets = WRONG[name]
    model = adapt(make().eval(), DyLoRAConfig(MAX_RANK, target_modules=targets))
    assert not check_rank_per_row(model, inputs_for(model, rows, tokens))
    assert not takes_rank_per_row(model)


@pytest.mark.parametrize(("rows", "tokens"), SIZES)
@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5", "llama"])
def test_a_model_that_keeps_rows_apart_is_taken_for_one(kind, rows, tokens, make_model):
    auto = {"gpt2": AutoModelForCausalLM, "llama": AutoModelForCausalLM, "t5": AutoModelForSeq2SeqLM}.get(kind)
    model = adapt(make_model(kind, auto) if auto else make_model(kind), DyLoRAConfig(MAX_RANK))
    assert check_rank_per_row(model, inputs_for(model, rows, tokens))
    assert takes_rank_per_row(model)


@pytest.mark.parametrize("scaling", ["alpha/b", "alpha/max_rank"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_and_scaling_do_not_make_a_right_model_wrong(dtype, scaling, make_model):
    model = adapt(make_model("bert").to(dtype), DyLoRAConfig(8, alpha=64, scaling=scaling))
    assert check_rank_per_row(model, inputs_for(model, 4, 12))
    model = adapt(make_model("bert"), DyLoRAConfig(8, scaling=scaling))
    with torch.autocast("cpu", torch.bfloat16):
        assert check_rank_per_row(model, inputs_for(model, 4, 12))


@pytest.mark.parametrize("inference", [False, True])
def test_factors_modes_rank_and_random_numbers_are_as_before(inference, adapted):
    model = adapted("bert", config=DyLoRAConfig(MAX_RANK, dropout=0.5)).train()
    model.bert.embeddings.eval()
    set_rank(model, 2, frozen=True)
    weights, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    kept, generator = [p.data_ptr() for p in model.parameters()], torch.get_rng_state()
    inputs = inputs_for(model, 3, 8)
    torch.set_rng_state(generator)
    with torch.inference_mode(inference):
        assert check_rank_per_row(model, inputs)
    assert torch.equal(torch.get_rng_state(), generator)
    assert [module.training for module in model.modules()] == modes
    assert (rank_state(model).rank, rank_state(model).frozen) == (2, True)
    assert [p.data_ptr() for p in model.parameters()] == kept
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    model(**inputs).logits.sum().backward()


def test_all_is_as_before_after_an_error_too(adapted):
    model = adapted().train()
    weights = copy.deepcopy(model.state_dict())
    with pytest.raises(IndexError):
        check_rank_per_row(model, {"input_ids": torch.tensor([[99, 99]])})
    assert model.training
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert rank_state(model).row_checks == {}


def test_a_batch_that_shows_no_difference_between_ranks_decides_nothing(adapted):
    """One token attends to itself alone, so that queries and keys do not matter."""
    model = adapted("llama", AutoModelForCausalLM, config=DyLoRAConfig(MAX_RANK, target_modules=["q_proj"]))
    assert not check_rank_per_row(model, {"input_ids": torch.tensor([[5], [6]])})
    assert takes_rank_per_row(model)
    assert check_rank_per_row(model, {"input_ids": torch.tensor([[5, 6, 7], [6, 9, 11]])})


def test_a_range_of_one_rank_and_a_copy(make_model):
    assert check_rank_per_row(adapt(make_model("bert"), DyLoRAConfig(2, min_rank=2)), {"input_ids": torch.ones(1, 2)})
    model = adapt(TimeFirst(), DyLoRAConfig(2, target_modules=["linear1"]))
    check_rank_per_row(model, inputs_for(model, 2, 3))
    assert not takes_rank_per_row(copy.deepcopy(model))


def test_what_cannot_be_checked_is_refused(adapted, token_ids):
    model = adapted()
    with pytest.raises(InputError, match="inputs: must be keyword arguments with tensors"):
        check_rank_per_row(model, {"input_ids": None})
    merge(model, 2)
    with pytest.raises(InputError, match="the merged rank"):
        check_rank_per_row(model, {"input_ids": token_ids})


def test_stacking_is_checked_once_for_each_way_of_running(adapted, token_ids):
    model, runs = adapted(), []

    def run(ranks):
        runs.append(tuple(ranks))
        rank = torch.tensor(ranks).repeat_interleave(3) if len(ranks) > 1 else ranks[0]
        set_rank(model, rank)
        return model(input_ids=token_ids.repeat(len(ranks), 1)).logits

    assert may_stack(model, "forward", (3,), run)
    assert runs == []
    assert may_stack(model, "forward", (1, 2, 3), run)
    assert runs == [(1,), (2,), (3,), (1, 2, 3)]
    assert may_stack(model, "forward", (1, 2, 3), run)
    assert len(runs) == 4
    assert may_stack(model, "other", (1, 4), run)
    assert rank_state(model).row_checks == {"forward": True, "other": True}


def test_stacked_outputs_that_differ_are_found_whatever_the_reason(adapted, token_ids):
    model = adapted()

    def coupled(ranks):
        """Right at one rank; several batches in one change the outputs, as a limit on tokens an expert takes does."""
        rank = torch.tensor(ranks).repeat_interleave(3) if len(ranks) > 1 else ranks[0]
        set_rank(model, rank)
        out = model(input_ids=token_ids.repeat(len(ranks), 1)).logits
        return out - out.mean(0)

    assert not may_stack(model, "forward", (1, 2), coupled)
    assert not may_stack(model, "generation", (1, 2), lambda ranks: pytest.fail("known already"))


def test_the_check_runs_without_autocast_whose_rounding_would_look_like_mixed_rows(adapted, token_ids):
    model, seen = adapted(), []

    def run(ranks):
        seen.append(torch.is_autocast_enabled("cpu"))
        stacked = token_ids.repeat(len(ranks), 1)
        with use_rank(model, torch.tensor(ranks).repeat_interleave(len(token_ids))):
            return model(input_ids=stacked).logits

    with torch.autocast("cpu", torch.bfloat16):
        assert may_stack(model, "forward", [1, 2], run)
        assert torch.is_autocast_enabled("cpu")
    assert not any(seen)
