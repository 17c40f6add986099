"""Packed rows do not see each other: each has the loss that it has alone, at every rank."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM

from dylora.adapters.config import DyLoRAConfig
from dylora.backbones import hub_logs
from dylora.errors import InputError
from dylora.modules import labelled_tokens
from dylora.modules.generation import GenerationModule
from dylora.modules.packed_batch import check_packed

ROWS = [[1, 5, 6, 7, 2], [1, 9, 8, 11, 12, 30, 2], [1, 31, 2], [1, 5, 39, 2]]
COUNTED = [2, 4, 1, 3]  # the last tokens of each, which are predicted
FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma")


def _padded(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


LABELS = [[-100] * (len(row) - count) + row[-count:] for row, count in zip(ROWS, COUNTED, strict=True)]
GROUPS = ([0, 1], [2, 3])
PACKED = {
    "input_ids": _padded([[token for place in group for token in ROWS[place]] for group in GROUPS], 0),
    "labels": _padded([[token for place in group for token in LABELS[place]] for group in GROUPS], -100),
    "position_ids": _padded([[n for place in group for n in range(len(ROWS[place]))] for group in GROUPS], 0),
}
APART = {
    "input_ids": _padded(ROWS, 0),
    "labels": _padded(LABELS, -100),
    "attention_mask": _padded([[1] * len(row) for row in ROWS], 0),
}


@pytest.fixture
def writer(make_model, randomise, tmp_path):
    def build(family, dtype="fp32"):
        with hub_logs.quiet():
            make_model(family, AutoModelForCausalLM).save_pretrained(tmp_path / family)
        adapter = DyLoRAConfig(max_rank=3, alpha=8)
        options = {"backbone": str(tmp_path / family), "adapter": adapter, "backbone_dtype": dtype}
        module = GenerationModule(task="prompts", **options)
        randomise(module.model)
        return module.eval()

    return build


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_row_has_the_loss_of_its_rows_alone_at_every_rank(writer, family):
    module = writer(family)
    for (_, _, packed), (_, _, apart) in zip(
        module.outputs_at_ranks(PACKED), module.outputs_at_ranks(APART), strict=True
    ):
        expected = torch.stack([apart[group].sum(0) for group in GROUPS])
        assert torch.allclose(packed, expected, atol=1e-4)
        assert packed[:, 2].tolist() == [6, 4]


def test_the_check_leaves_training_as_it_was(writer):
    module = writer("llama").train()
    before = [part.training for part in module.model.modules()]
    state = torch.get_rng_state()
    check_packed(module.model, PACKED)
    assert [part.training for part in module.model.modules()] == before
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_training_step_never_makes_the_logits_of_all_tokens(writer, monkeypatch, dtype):
    module = writer("llama", dtype).train()
    vocabulary = module.model.config.vocab_size
    monkeypatch.setattr(labelled_tokens, "_LOGITS", 2 * vocabulary)
    with _Largest(vocabulary) as largest:  # the first step checks that rows are apart, and how the model makes logits
        loss = module.losses_of(PACKED, 1)[0]
        loss.sum().backward()
    assert 0 < largest.rows <= 2
    assert any(p.grad.any() for p in module.parameters() if p.grad is not None)


class _Largest(TorchDispatchMode):
    """The most rows of logits that one tensor holds."""

    def __init__(self, vocabulary):
        super().__init__()
        self.rows, self.vocabulary = 0, vocabulary

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and not func.is_view and made.shape[-1:] == (self.vocabulary,):
            self.rows = max(self.rows, made.numel() // self.vocabulary)
        return made


def test_a_model_that_mixes_them_is_refused(writer):
    """OPT makes its mask without the positions."""
    module = writer("opt")
    with pytest.raises(InputError, match=r"data.packing: must be off for a model .* got on for OPTForCausalLM; leave"):
        next(iter(module.outputs_at_ranks(PACKED)))
