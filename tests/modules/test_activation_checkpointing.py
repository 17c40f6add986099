"""Activation checkpointing: the same gradients to the bit, and less that is kept for the backward pass."""

import pytest
import torch
from transformers import RobertaForSequenceClassification

from dylora import DyLoRAConfig, InputError
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule

KINDS = {"text": GenerationModule, "sentences": SequenceClassificationModule}


def _module(kind, **options):
    torch.manual_seed(0)
    module = KINDS[kind](adapter=DyLoRAConfig(max_rank=4, alpha=8, dropout=0.1), **options).train()
    for name, parameter in module.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return module


def _step(module, kind, ranks, rows_of_own=False):
    ids = torch.randint(5, 200, (4, 9), generator=torch.Generator().manual_seed(1))
    labels = ids if kind == "text" else torch.tensor([0, 1, 0, 1])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    if rows_of_own:
        module.plan_rows(torch.tensor(ranks))
    else:
        module.plan_step(ranks, [1 / len(ranks)] * len(ranks))
    module._task_loss(batch)  # what is found out on the first batch
    kept = {}
    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.update({x.data_ptr(): x.nbytes}), x)[1], lambda x: x):
        module._task_loss(batch).backward()
    weights = {p.data_ptr() for p in module.parameters()}
    grads = {name: p.grad for name, p in module.model.named_parameters() if p.grad is not None}
    return grads, sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("ranks", "own"), [((2,), False), ((1, 4), False), ((1, 2, 3, 4), True)])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_equal_to_the_bit_and_less_is_kept(kind, ranks, own, dtype):
    expected, plain = _step(_module(kind, backbone_dtype=dtype), kind, ranks, own)
    found, fewer = _step(_module(kind, backbone_dtype=dtype, gradient_checkpointing=True), kind, ranks, own)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert any(grad.any() for grad in found.values())
    assert fewer < 0.5 * plain


def test_below_the_first_adapter_nothing_has_a_gradient():
    module = _module("text", gradient_checkpointing=True)
    seen = []
    module.model.get_input_embeddings().register_forward_hook(lambda m, args, out: seen.append(out.requires_grad))
    module.model(input_ids=torch.tensor([[5, 6]]))
    assert seen == [False]


def test_compiled_models_and_those_that_cannot_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"model.gradient_checkpointing: must be false with model.compile, got true"):
        _module("sentences", gradient_checkpointing=True, compile=True)
    monkeypatch.setattr(RobertaForSequenceClassification, "supports_gradient_checkpointing", False)
    with pytest.raises(InputError, match=r"must be false for a model that cannot compute its layers again, got true"):
        _module("sentences", gradient_checkpointing=True)
