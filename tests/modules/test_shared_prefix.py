"""What comes before the first adapter is computed once for several forwards of a batch, and changes no bit."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from dylora.adapters.active_rank import use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.shared_prefix import SharedPrefix

FAMILIES = {
    "bert": AutoModelForSequenceClassification,
    "deberta-v2": AutoModelForSequenceClassification,
    "distilbert": AutoModelForSequenceClassification,
    "gpt2": AutoModelForCausalLM,
    "llama": AutoModelForCausalLM,
    "t5": AutoModelForSeq2SeqLM,
    "bart": AutoModelForSeq2SeqLM,
}
UPPER = {"bert": ["*layer.1.*query"], "gpt2": ["*h.1.*c_attn"], "llama": ["*layers.1.*q_proj"]}


def _logits(model, rank, ids):
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids[:, :4]
    else:
        inputs["use_cache"] = False
    if model.config.model_type in ("bert", "deberta-v2", "distilbert"):
        del inputs["use_cache"]
    with torch.no_grad(), use_rank(model, rank):
        return model(**inputs).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_every_forward_gives_the_bits_that_it_gives_alone(adapted, token_ids, family):
    model = adapted(family, FAMILIES[family])
    other, hooks = token_ids.flip(0), _hooks(model)
    with SharedPrefix(model).of_one_batch() as memory:
        found = [
            _remembered(memory, model, rank, ids)
            for rank, ids in ((1, token_ids), (3, token_ids), (4, other), (1, token_ids))
        ]
    for (rank, ids), logits in zip(((1, token_ids), (3, token_ids), (4, other), (1, token_ids)), found, strict=True):
        assert torch.equal(logits, _logits(model, rank, ids))
    assert not torch.equal(found[0], found[1]), "or this shows nothing"
    assert not any("forward" in vars(module) for module in model.modules())
    assert _hooks(model) == hooks


def _remembered(memory, model, rank, ids):
    with memory.active():
        return _logits(model, rank, ids)


def _hooks(model):
    return [len(module._forward_pre_hooks) for module in model.modules()]


def _flops(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("family", UPPER)
def test_layers_below_the_first_adapted_one_run_once(adapted, token_ids, family):
    every = adapted(family, FAMILIES[family])
    upper = adapted(family, FAMILIES[family], config=DyLoRAConfig(max_rank=4, target_modules=UPPER[family]))
    for model, least in ((every, 0.05), (upper, 0.45)):
        with SharedPrefix(model).of_one_batch() as memory:
            first, second = (_flops(lambda m=model, k=memory: _remembered(k, m, 2, token_ids)) for _ in range(2))
        assert first == _flops(lambda model=model: _logits(model, 2, token_ids))
        assert first * 0.02 < second < first * (1 - least)


def test_what_depends_on_an_adapter_is_not_kept(adapted, token_ids):
    model = adapted("bert")
    with SharedPrefix(model).of_one_batch() as memory:
        _remembered(memory, model, 1, token_ids)
        names = {id(module): name for name, module in model.named_modules()}
        kept = [names[id(call.module)].removeprefix("bert.encoder.layer.0.attention.self.") for call in memory.kept]
    assert sorted(kept) == ["bert.embeddings", "key", "query.base_layer", "value.base_layer"]
    assert not memory.kept


@pytest.fixture
def module(backbone):
    torch.manual_seed(0)
    made = SequenceClassificationModule(backbone=backbone, adapter=DyLoRAConfig(max_rank=4), eval_rows=3).eval()
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    return made


@pytest.fixture
def batch(token_ids):
    return {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids), "labels": torch.tensor([0, 1, 0])}


def _outputs(module, batch):
    with torch.inference_mode():
        return torch.stack([outputs for _, _, outputs in module.outputs_at_ranks(batch)])


def test_an_evaluation_rank_by_rank_shares_it_and_gives_the_same_bits(module, batch):
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    first, second = _outputs(module, batch), _outputs(module, {**batch, "input_ids": batch["input_ids"].flip(0)})
    assert module._shares_prefix
    assert all(torch.equal(tensor, weights[name]) for name, tensor in module.state_dict().items())
    module._shares_prefix = False
    assert torch.equal(first, _outputs(module, batch))
    assert torch.equal(second, _outputs(module, {**batch, "input_ids": batch["input_ids"].flip(0)}))
    assert _flops(lambda: _outputs(module, batch)) > 0
    module._shares_prefix = True
    shared = _flops(lambda: _outputs(module, batch))
    module._shares_prefix = False
    assert shared < 0.95 * _flops(lambda: _outputs(module, batch))


def test_a_model_that_writes_into_what_is_kept_computes_it_every_time(module, batch):
    embeddings = module.model.roberta.embeddings
    plain = type(embeddings).forward

    def write(layer, args):
        args[0].add_(1.0)

    module.model.roberta.encoder.layer[0].register_forward_pre_hook(write)
    expected = []
    for rank in (1, 2, 3, 4):
        module.eval_ranks = (rank,)
        expected.append(_outputs(module, batch)[0])
    module.eval_ranks = (1, 2, 3, 4)
    assert torch.equal(_outputs(module, batch), torch.stack(expected))
    assert module._shares_prefix is False
    assert type(embeddings).forward is plain


def test_a_model_in_training_computes_it_every_time(module, batch):
    module.train()
    _outputs(module, batch)
    assert module._shares_prefix is None


def test_a_consumer_that_raises_leaves_the_model_as_it_was(module, batch):
    found, hooks = module.outputs_at_ranks(batch), _hooks(module.model)
    next(found)
    assert module._shares_prefix

    def consume():
        for _ in found:
            raise KeyError

    with pytest.raises(KeyError):
        consume()
    assert not any("forward" in vars(each) for each in module.model.modules())
    assert _hooks(module.model) == hooks
    grads = []
    for _ in range(2):  # beside the open generator, and after it
        module.train()
        torch.manual_seed(0)  # dropout
        with use_rank(module.model, 2):
            module.losses_of(batch, 1)[0].sum().backward()
        grads.append([p.grad.clone() for p in module.model.parameters() if p.grad is not None])
        module.zero_grad()
        found.close()
    assert grads[0]
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_two_evaluations_at_once_give_what_they_give_one_after_another(module, batch):
    other = {**batch, "input_ids": batch["input_ids"].flip(0)}
    expected = [_outputs(module, each) for each in (batch, other)]
    assert module._shares_prefix
    assert not torch.equal(*expected)
    pairs = list(zip(module.outputs_at_ranks(batch), module.outputs_at_ranks(other), strict=True))
    for place, results in enumerate(expected):
        assert torch.equal(torch.stack([pair[place][2] for pair in pairs]), results)
    assert not any("forward" in vars(each) for each in module.model.modules())


def test_gradients_and_training_mode_bypass_what_is_kept(adapted, token_ids):
    model = adapted("bert")
    with SharedPrefix(model).of_one_batch() as memory:
        _remembered(memory, model, 1, token_ids)
        full = _flops(lambda: _logits(model, 1, token_ids))
        assert _flops(lambda: _remembered(memory, model, 1, token_ids)) < full
        with memory.active(), use_rank(model, 1):
            assert _flops(lambda: model(token_ids)) == full
        model.train()
        assert _flops(lambda: _remembered(memory, model, 1, token_ids)) == full
