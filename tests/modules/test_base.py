"""Training at the ranks of a step and evaluation at all of them, against rank by rank."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import LongformerConfig, LongformerForSequenceClassification

from dylora.adapters.active_rank import rank_state, set_rank, use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError
from dylora.methods.adapter import Adapter
from dylora.methods.flop import FLOP
from dylora.methods.full import FullFineTuning
from dylora.methods.gated_linear import gated_layers
from dylora.modules.classification import SequenceClassificationModule

RANKS = (1, 2, 3, 4)
METHODS = {"adapter": Adapter, "full": FullFineTuning, "flop": FLOP}


@pytest.fixture
def module(backbone):
    torch.manual_seed(0)
    module = SequenceClassificationModule("restaurants", backbone, DyLoRAConfig(max_rank=4), eval_rows=9)
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    module.log = lambda *args, **kwargs: None
    return module


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 100, (6, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[2:4, 5:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 1, 0, 1, 0])}


def _logits(module, batch):
    return module.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


def _grads(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def test_individual_loss_is_that_of_the_planned_rank(module, batch):
    for rank in RANKS:
        module.plan_step((rank,), (1.0,))
        loss = module.training_step(batch, 0)
        with use_rank(module.model, rank):
            expected = F.cross_entropy(_logits(module, batch), batch["labels"])
        assert torch.allclose(loss, expected, atol=1e-6)


def test_without_a_plan_training_is_plain_lora(module, batch):
    loss = module.training_step(batch, 0)
    with use_rank(module.model, 4):
        assert torch.allclose(loss, F.cross_entropy(_logits(module, batch), batch["labels"]), atol=1e-6)


def test_summation_loss_is_the_weighted_sum_with_its_gradients(module, batch):
    weights = (0.4, 0.3, 0.2, 0.1)
    module.plan_step(RANKS, weights)
    loss = module.training_step(batch, 0)
    loss.backward()
    stacked = _grads(module)
    module.zero_grad()
    total = 0.0
    for rank, weight in zip(RANKS, weights, strict=True):
        set_rank(module.model, rank)
        part = weight * F.cross_entropy(_logits(module, batch), batch["labels"])
        part.backward()
        total += part.item()
    assert loss.item() == pytest.approx(total, abs=1e-6)
    for name, grad in _grads(module).items():
        assert torch.allclose(stacked[name], grad, atol=1e-5), name


def test_summation_after_an_individual_step_updates_all_rows(module, batch):
    module.plan_step((2,), (1.0,))
    module.training_step(batch, 0)
    assert rank_state(module.model).updated_rows == slice(0, 2)
    module.plan_step(RANKS, (0.25,) * 4)
    module.training_step(batch, 0)
    assert rank_state(module.model).updated_rows == slice(0, 4)


@pytest.mark.parametrize("eval_rows", [1, 6, 13, 1000])
def test_one_pass_gives_each_rank_what_it_gives_alone(module, batch, eval_rows):
    module.eval()
    module.eval_rows = eval_rows
    with torch.no_grad():
        for rank, loss, logits in module.outputs_at_ranks(batch):
            with use_rank(module.model, rank):
                alone = _logits(module, batch)
            assert torch.allclose(logits, alone, atol=1e-5)
            assert torch.allclose(loss, F.cross_entropy(alone, batch["labels"]), atol=1e-5)


def test_evaluation_counts_every_asked_rank_and_restores_the_training_rank(module, batch):
    module.plan_step((3,), (1.0,), frozen=True)
    module.eval_ranks = (1, 4)
    module.eval()
    with torch.no_grad():
        module.validation_step(batch, 0)
        module.on_validation_epoch_end()
        assert set(module.results["accuracy"]) == {1, 4}
        for rank in (1, 4):
            with use_rank(module.model, rank):
                alone = _logits(module, batch)
            accuracy = (alone.argmax(-1) == batch["labels"]).float().mean().item()
            assert module.results["accuracy"][rank] == pytest.approx(accuracy)
            assert module.results["loss"][rank] == pytest.approx(F.cross_entropy(alone, batch["labels"]).item())
    state = rank_state(module.model)
    assert (state.rank, state.frozen) == (3, True)


def test_a_second_evaluation_starts_from_nothing(module, batch):
    module.eval()
    results = []
    for _ in range(2):
        with torch.no_grad():
            module.validation_step(batch, 0)
            module.on_validation_epoch_end()
        results.append(module.results)
    assert results[0] == results[1]


def test_checkpoint_holds_what_was_trained_and_nothing_of_the_backbone(module):
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    names = set(checkpoint["state_dict"])
    assert names == {name for name, p in module.named_parameters() if p.requires_grad}
    assert all("lora_" in name or ".classifier." in name for name in names)
    assert checkpoint["dylora"]["adapter"]["max_rank"] == 4


def test_a_checkpoint_of_another_max_rank_is_refused(module, backbone):
    checkpoint = {}
    SequenceClassificationModule("restaurants", backbone, DyLoRAConfig(max_rank=2)).on_save_checkpoint(checkpoint)
    with pytest.raises(InputError, match=r"trained with max_rank 4, got max_rank 2"):
        module.on_load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, r"model.learning_rate: must be above 0 and at most 100, got 0.0"),
        ({"weight_decay": -0.1}, r"model.weight_decay: must be from 0 to 1000, got -0.1"),
        ({"eval_rows": 0}, r"model.eval_rows: must be at least 1, got 0"),
    ],
)
def test_bad_values(backbone, changes, message):
    with pytest.raises(InputError, match=message):
        SequenceClassificationModule("restaurants", backbone, **changes)


def test_a_model_whose_rows_must_share_a_rank_is_evaluated_rank_by_rank(module, batch, monkeypatch):
    module.eval()
    with torch.no_grad():
        stacked = {rank: logits for rank, _, logits in module.outputs_at_ranks(batch)}
        monkeypatch.setattr(module.model.config, "share_att_key", True, raising=False)
        for rank, _, logits in module.outputs_at_ranks(batch):
            assert isinstance(rank_state(module.model).rank, int)
            assert torch.allclose(logits, stacked[rank], atol=1e-5)


def test_summation_without_stacking_has_the_same_loss(module, batch, monkeypatch):
    module.plan_step(RANKS, (0.4, 0.3, 0.2, 0.1))
    stacked = module.training_step(batch, 0)
    monkeypatch.setattr(module.model.config, "share_att_key", True, raising=False)
    assert torch.allclose(module.training_step(batch, 0), stacked, atol=1e-6)
    assert rank_state(module.model).updated_rows == slice(0, 4)


@pytest.mark.parametrize("method", ["full", "flop"])
def test_a_method_without_adapters_starts_as_the_pretrained_backbone_at_one_rank(backbone, batch, method):
    def build(name):
        torch.manual_seed(0)  # the head starts at random
        config, method = DyLoRAConfig(max_rank=4), METHODS[name]()
        return SequenceClassificationModule("restaurants", backbone, config, method=method).eval()

    module, adapted = build(method), build("adapter")
    assert module.eval_ranks == (4,)
    assert not [name for name, _ in module.named_parameters() if "lora_" in name]
    assert all(p.requires_grad for p in module.parameters())
    with torch.no_grad():
        ((rank, loss, logits),) = module.outputs_at_ranks(batch)
        torch.testing.assert_close(logits, _logits(adapted, batch), rtol=1e-4, atol=1e-5)  # lora_B is zero
    assert rank == 4
    assert loss.item() == pytest.approx(F.cross_entropy(logits, batch["labels"]).item(), rel=1e-5)
    assert module.identity == {**adapted.identity, "method": method, "adapter": {}}


@pytest.mark.parametrize(("method", "other"), [("full", "adapter"), ("adapter", "flop"), ("flop", "full")])
def test_a_checkpoint_of_another_method_is_refused(backbone, method, other):
    checkpoint = {}
    methods = {name: METHODS[name]() for name in (method, other)}
    build = {name: SequenceClassificationModule("restaurants", backbone, method=made) for name, made in methods.items()}
    build[other].on_save_checkpoint(checkpoint)
    with pytest.raises(
        InputError, match=rf"trained with method {method}, got method {other}; choose its class with --model.method"
    ):
        build[method].on_load_checkpoint(checkpoint)


def test_the_loss_of_flop_has_its_penalty(backbone, batch):
    module = SequenceClassificationModule("restaurants", backbone, method=FLOP()).train()
    logged = {}
    module.log = lambda name, value, **kwargs: logged.update({name: float(value.detach())})
    with torch.no_grad():
        module.method.multipliers.copy_(torch.tensor([0.5, 0.0]))
        for layer in gated_layers(module.model).values():
            layer.log_alpha.fill_(2.0)  # smaller than at the start, where the target is at step 0
    loss = module.training_step(batch, 0)
    assert logged["train/flop/excess"] < 0
    assert loss.item() == pytest.approx(logged["train/loss"] + 0.5 * logged["train/flop/excess"], rel=1e-5)


@pytest.mark.parametrize("given", [{}, {"method": FLOP(target=0.5)}])
def test_no_two_modules_share_a_method(backbone, given):
    one, other = (SequenceClassificationModule("restaurants", backbone, **given) for _ in range(2))
    one.eval()
    assert other.method.training
    assert one.method is not other.method


@pytest.fixture
def mixing(tmp_path_factory):
    """A module of a backbone that is time-first inside; as it starts, with lora_B at zero."""
    folder = tmp_path_factory.mktemp("longformer")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = LongformerConfig(**sizes, vocab_size=100, attention_window=4, max_position_embeddings=66, pad_token_id=1)
    LongformerForSequenceClassification(config).save_pretrained(folder)
    adapter = DyLoRAConfig(max_rank=4, target_modules=["query", "value"])
    module = SequenceClassificationModule("restaurants", str(folder), adapter).eval()
    module.log = lambda *args, **kwargs: None
    return module


def _wide(tokens):
    ids = torch.randint(5, 100, (6, tokens), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0, 1, 1, 0, 1, 0])}


def _fill(module):
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)


@pytest.mark.parametrize("tokens", [8, 24])  # 24: as many as six rows at four ranks
def test_a_backbone_that_mixes_rows_is_evaluated_rank_by_rank_and_says_so_once(mixing, tokens, caplog):
    caplog.set_level("INFO")
    first = [outputs for _, _, outputs in mixing.outputs_at_ranks(_wide(tokens))]
    assert all(torch.equal(outputs, first[0]) for outputs in first)  # lora_B is zero; the check saw through it
    _fill(mixing)
    with torch.inference_mode():
        for rank, loss, outputs in mixing.outputs_at_ranks(_wide(tokens)):
            with use_rank(mixing.model, rank):
                alone = _logits(mixing, _wide(tokens))
            assert torch.equal(outputs, alone)
            assert loss.item() == pytest.approx(F.cross_entropy(alone, _wide(tokens)["labels"]).item(), abs=1e-6)
    assert caplog.text.count("LongformerForSequenceClassification runs at one rank at a time") == 1


@pytest.mark.parametrize("tokens", [8, 24])
def test_the_summation_loss_of_a_backbone_that_mixes_rows_is_that_of_rank_by_rank(mixing, tokens):
    _fill(mixing)
    for layer in mixing.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    for layer in mixing.model.longformer.encoder.layer:
        layer.attention.self.dropout = 0.0
    mixing.train()
    weights = (0.4, 0.3, 0.2, 0.1)
    mixing.plan_step(RANKS, weights)
    loss = mixing.training_step(_wide(tokens), 0)
    assert mixing.training
    total = 0.0
    for rank, weight in zip(RANKS, weights, strict=True):
        with use_rank(mixing.model, rank):
            total += weight * F.cross_entropy(_logits(mixing, _wide(tokens)), _wide(tokens)["labels"]).item()
    assert loss.item() == pytest.approx(total, abs=1e-6)
    assert rank_state(mixing.model).updated_rows == slice(0, 4)


def test_checkpointed_activations_would_be_computed_again_at_a_wrong_rank_and_are_refused(mixing, module, batch):
    for each in (mixing, module):
        each.train().model.activation_checkpointing_enable()
        each.model.enable_input_require_grads()
        each.plan_step(RANKS, (0.25,) * 4)
    module.training_step(batch, 0).backward()  # all ranks in one forward
    with pytest.raises(InputError, match="activation checkpointing: must be off for the summation loss"):
        mixing.training_step(_wide(8), 0)
    mixing.plan_step((2,), (1.0,))
    mixing.training_step(_wide(8), 0).backward()


def test_the_check_of_the_first_batch_changes_neither_weights_nor_random_numbers(module, batch):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.plan_step(RANKS, (0.25,) * 4)
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.5
    torch.manual_seed(3)
    checked = module.training_step(batch, 0)
    torch.manual_seed(3)
    assert torch.equal(module.training_step(batch, 0), checked)  # known now, and the same dropout
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert rank_state(module.model).row_checks == {"forward": True}


def test_adapters_that_nothing_has_reached_are_named_once(module, batch, caplog):
    caplog.set_level("INFO")
    module.on_train_epoch_end()
    assert (
        "no forward has reached, and that learn nothing: roberta.encoder.layer.0.attention.self.query," in caplog.text
    )
    caplog.clear()
    module.on_train_epoch_end()
    assert not caplog.text


def test_nothing_is_said_of_adapters_that_were_reached(module, batch, caplog):
    caplog.set_level("INFO")
    module.training_step(batch, 0)
    module.on_train_epoch_end()
    assert not caplog.text


def test_processes_agree_on_what_any_of_them_found(tmp_path):
    """Three processes: one found a model wrong, one found it right, one has had no batch."""
    script = str(Path(__file__).parent / "three_findings.py")
    done = subprocess.run([sys.executable, script, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [[{"forward": False, "generation": True}, {}]] * 3
