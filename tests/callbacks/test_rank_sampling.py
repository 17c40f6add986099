"""The rank of each optimizer step."""

import peft
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForSequenceClassification

from dylora.adapters.ranks import RankRange, rank_at
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.errors import InputError

FOUR = RankRange(1, 4)


def test_each_step_trains_the_rank_of_its_number(fit, module):
    fit(RankSamplingCallback("dylora", seed=3))
    assert [seen[0] for seen in module.seen] == [rank_at(FOUR, [0.25] * 4, 3, step) for step in range(12)]
    assert len({seen[0] for seen in module.seen}) > 1


def test_all_micro_batches_of_an_accumulated_step_share_a_rank(fit, module):
    fit(RankSamplingCallback("dylora", seed=3), accumulate_grad_batches=3)
    ranks = [seen[0] for seen in module.seen]
    assert ranks == [rank_at(FOUR, [0.25] * 4, 3, step) for step in range(4) for _ in range(3)]


def test_validation_in_between_does_not_change_the_sequence(fit, module):
    fit(RankSamplingCallback("dylora", seed=3), validate=True, val_check_interval=2)
    assert [seen[0] for seen in module.seen] == [rank_at(FOUR, [0.25] * 4, 3, step) for step in range(12)]


def test_frozen_mode_is_set_at_every_step(fit, module):
    fit(RankSamplingCallback("dylora", frozen=True), max_epochs=1)
    assert {seen[1] for seen in module.seen} == {True}


def test_summation_trains_all_ranks_weighted_by_their_probability(fit, module):
    fit(RankSamplingCallback("dylora", "weights", weights=[1, 1, 2, 4], objective="summation"), max_epochs=1)
    for _, _, ranks, weights in module.seen:
        assert ranks == (1, 2, 3, 4)
        assert weights == pytest.approx((0.125, 0.125, 0.25, 0.5))


def test_geometric_law_prefers_low_ranks(fit, module):
    fit(RankSamplingCallback("dylora", "geometric", p=0.9), max_epochs=1)
    assert [seen[0] for seen in module.seen].count(1) >= 4


def _pefts_lora(module, backbone):
    """PEFT's LoRA of rank 4 on the module's weights, and its trained parameters by the names that they have there."""
    config = peft.LoraConfig(r=4, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"])
    theirs = peft.inject_adapter_in_model(config, AutoModelForSequenceClassification.from_pretrained(backbone))
    trained = {}
    for name, parameter in module.model.named_parameters():
        if parameter.requires_grad:
            inside = name.replace(".factors.lora_A", ".lora_A.default.weight")
            trained[name] = theirs.get_parameter(inside.replace(".factors.lora_B", ".lora_B.default.weight"))
            trained[name].data.copy_(parameter.data)
            trained[name].requires_grad_(True)
    return theirs.eval(), trained  # without dropout; the gradients are the same


def test_trained_at_max_rank_it_is_pefts_lora_step_by_step(module, loader, backbone, fit):
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    theirs, trained = _pefts_lora(module, backbone)
    groups = [{"params": [p], "weight_decay": 0.1 if p.dim() > 1 else 0.0} for p in trained.values()]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    for step, batch in enumerate(batch for _ in range(2) for batch in loader):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (step if step < 1 else (12 - step) / 11)  # 6 % of 12 steps, rounded up, warm up
        logits = theirs(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        F.cross_entropy(logits, batch["labels"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    fit(RankSamplingCallback("dylora", "max_rank"))
    assert {seen[0] for seen in module.seen} == {4}
    for name, parameter in trained.items():
        torch.testing.assert_close(module.model.get_parameter(name), parameter, rtol=1e-4, atol=1e-6)
        assert parameter.abs().sum() > 0, name  # lora_B was zero


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distribution": "geometric", "p": 1.0}, r"p: must be inside \(0, 1\), got 1.0"),
        ({"distribution": "weights", "weights": [1, -1]}, r"weights: must be non-negative numbers, got -1"),
        ({"frozen": True, "objective": "summation"}, r"frozen: must be false with the summation loss"),
        ({"seed": -1}, r"seed: must be 0 or larger, got -1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        RankSamplingCallback("dylora", **options)


def test_weights_of_the_wrong_length_are_refused_before_training(fit):
    with pytest.raises(InputError, match=r"weights: must be 4 numbers, one for each of the ranks 1, 2, 3, 4, got 3"):
        fit(RankSamplingCallback("dylora", "weights", weights=[1, 1, 1]))
