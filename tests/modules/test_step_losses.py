"""Losses of steps whose rows have ranks of their own, or learn from the largest one."""

import pytest
import reference
import tiny_text
import torch
import torch.nn.functional as F
from torch import nn
from transformers import LongformerConfig, LongformerForSequenceClassification

from dylora.adapters.active_rank import rank_state, use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.distillation import Distillation
from dylora.adapters.mixed_ranks import stratified_ranks
from dylora.errors import InputError
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule

RANKS = (1, 2, 3, 4)
LAW = (0.125, 0.125, 0.25, 0.5)


def _ready(module):
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    module.log = lambda *args, **kwargs: None
    return module


@pytest.fixture
def module(backbone):
    torch.manual_seed(0)
    return _ready(SequenceClassificationModule("restaurants", backbone, DyLoRAConfig(max_rank=4)))


@pytest.fixture
def batch():
    ids = torch.randint(5, 100, (6, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[2:4, 5:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 1, 0, 1, 0])}


@pytest.fixture(params=["gpt2", "t5"])
def writer(request, tmp_path):
    torch.manual_seed(0)
    backbone = tiny_text.save_writer(tmp_path, request.param)
    options = {"adapter": DyLoRAConfig(max_rank=4), "label_smoothing": 0.0, "decoding": "greedy"}
    module = _ready(GenerationModule("restaurants", backbone, **options)).eval()  # T5 has dropout outside of layers
    return module, tiny_text.Restaurants(request.param == "t5").teacher_forced([0, 1, 2, 3])


def _grads(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def _row_logits(module, batch, row, rank):
    with use_rank(module.model, rank):
        one = {key: batch[key][row : row + 1] for key in ("input_ids", "attention_mask")}
        return module.model(**one).logits[0]


def test_mixed_loss_is_the_mean_of_rows_at_their_own_ranks_with_its_gradients(module, batch):
    ranks = [3, 1, 4, 2, 2, 4]

    def row_loss(row, rank):
        return F.cross_entropy(_row_logits(module, batch, row, rank)[None], batch["labels"][row][None])

    expected = reference.mixed_loss(row_loss, ranks)
    expected.backward()
    literal = _grads(module)
    module.zero_grad()
    module.plan_rows(torch.tensor(ranks))
    loss = module.training_step(batch, 0)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    for name, grad in _grads(module).items():
        torch.testing.assert_close(grad, literal[name], rtol=1e-4, atol=1e-6)


def _summation_gradient(module, batch):
    module.zero_grad()
    reference.summation_loss(lambda b: _loss_at(module, batch, b), LAW).backward()
    return _grads(module)


def _loss_at(module, batch, rank):
    module.plan_step((rank,), (1.0,))
    return module.losses_of(batch, 1)[0].sum()


def _mean_mixed_gradient(module, batch, shifts=16):
    module.zero_grad()
    for k in range(shifts):  # every part of [0, 1) that no bound of the law divides
        rows = torch.arange(len(batch["input_ids"]))
        ranks = stratified_ranks(rank_state(module.model).config.ranks, LAW, rows, (k + 0.5) / shifts)
        module.plan_rows(ranks)
        (module.training_step(batch, 0) / shifts).backward()
    return _grads(module)


def test_expected_gradient_of_mixed_ranks_is_that_of_the_summation_loss(module, batch):
    expected = _summation_gradient(module, batch)
    found = _mean_mixed_gradient(module, batch)
    assert found.keys() == expected.keys()
    for name, grad in found.items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-4, atol=1e-6)


def test_of_a_language_model_too_whose_rows_differ_in_tokens(writer):
    module, batch = writer
    expected = _summation_gradient(module, batch)
    for name, grad in _mean_mixed_gradient(module, batch).items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["kl", "mse"])
@pytest.mark.parametrize("ranks", [[3, 1, 4, 2, 2, 4], [2] * 6])
def test_rows_below_max_rank_learn_from_it_and_rows_at_it_from_the_labels(module, batch, loss, ranks):
    module.distillation = Distillation(0.3, loss)
    if len(set(ranks)) > 1:
        module.plan_rows(torch.tensor(ranks))
    else:
        module.plan_step((ranks[0],), (1.0,))
    expected = []
    for row, rank in enumerate(ranks):
        logits, teacher = (_row_logits(module, batch, row, b).detach() for b in (rank, 4))
        task = F.cross_entropy(logits[None], batch["labels"][row][None]).item()
        distance = reference.distillation(logits.tolist(), teacher.tolist(), loss)
        expected.append(0.7 * task + 0.3 * distance if rank < 4 else task)
    assert module.training_step(batch, 0).item() == pytest.approx(sum(expected) / 6, rel=1e-5)


def test_no_gradient_reaches_the_largest_rank_through_what_others_learn_from_it(module, batch):
    module.distillation = Distillation(1.0)
    module.plan_step((2,), (1.0,))
    module.training_step(batch, 0).backward()
    for name, grad in _grads(module).items():
        if "lora_A" in name:
            assert grad[:2].any()
            assert not grad[2:].any()


def test_at_the_largest_rank_nothing_is_distilled(module, batch):
    module.plan_step((4,), (1.0,))
    plain = module.training_step(batch, 0)
    module.distillation = Distillation(0.5)
    assert torch.allclose(module.training_step(batch, 0), plain)


def test_tokens_of_a_language_model_learn_from_the_largest_rank(writer):
    module, batch = writer
    module.distillation = Distillation(1.0, "kl")
    ranks = torch.tensor([1, 4, 2, 4])
    module.plan_rows(ranks)
    loss = module.training_step(batch, 0)
    student = module.outputs_of(batch).detach()
    losses, rows = module.losses_at(student, batch)
    with use_rank(module.model, 4):
        teacher = module.outputs_of(batch).detach()
    parts = []
    for place, row in enumerate(rows.tolist()):
        distance = reference.distillation(student[place].tolist(), teacher[place].tolist(), "kl")
        parts.append(distance if ranks[row] < 4 else losses[place].item())
    assert loss.item() == pytest.approx(sum(parts) / len(parts), rel=1e-4)


def test_rows_that_share_a_rank_are_refused_for_mixed_ranks(tmp_path, batch):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = LongformerConfig(**sizes, vocab_size=100, attention_window=4, max_position_embeddings=66, pad_token_id=1)
    LongformerForSequenceClassification(config).save_pretrained(tmp_path)
    adapter = DyLoRAConfig(max_rank=4, target_modules=["query", "value"])
    module = SequenceClassificationModule("restaurants", str(tmp_path), adapter)
    module.log = lambda *args, **kwargs: None
    module.plan_rows(torch.tensor([1, 2, 3, 4, 1, 2]))
    message = "rank_sampling.objective: must be individual or summation for a model that does not keep the rows"
    with pytest.raises(InputError, match=message):
        module.training_step(batch, 0)
    with pytest.raises(InputError, match=message):
        module.plan_rows(torch.tensor([1, 2, 3, 4, 1, 2]))


def test_the_penalty_is_added_to_the_loss_and_not_to_the_tasks(module, batch):
    module.plan_step((4,), (1.0,))
    plain = module.training_step(batch, 0)
    module.penalty = lambda: torch.tensor(2.0)
    assert module.training_step(batch, 0).item() == pytest.approx(plain.item() + 2)
    assert module.task_loss.item() == pytest.approx(plain.item())
