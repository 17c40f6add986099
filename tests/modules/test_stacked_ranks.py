"""Rows with ranks of their own in one batch give what each gives at its rank alone."""

import pytest
import tiny
import torch

from dylora.adapters.active_rank import rank_state
from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError
from dylora.modules import stacked_ranks
from dylora.modules.classification import SequenceClassificationModule


@pytest.fixture
def module(tmp_path, randomise):
    backbone = tiny.save_backbone(tmp_path / "backbone")
    module = SequenceClassificationModule("restaurants", backbone, DyLoRAConfig(max_rank=4)).eval()
    randomise(module)
    for name, parameter in module.named_parameters():
        if "lora_B" in name or "out_proj" in name:
            parameter.data *= 20
    return module


@pytest.fixture
def batch():
    ids = torch.arange(30).view(5, 6) + 5
    mask = torch.ones_like(ids)
    return {"input_ids": ids, "attention_mask": mask, "index": torch.arange(5), "rank": torch.tensor([3, 1, 4, 1, 2])}


@pytest.mark.parametrize("stacks", [True, False])
@torch.no_grad()
def test_every_row_is_predicted_at_its_rank(module, batch, stacks):
    if not stacks:
        rank_state(module.model).row_checks["forward"] = False
    records = module.predict_step(batch, 0)
    alone = module.predict_step({key: value for key, value in batch.items() if key != "rank"}, 0)
    for record, every, rank in zip(records, alone, batch["rank"].tolist(), strict=True):
        assert record["index"] == every["index"]
        assert list(record["ranks"]) == [str(rank)]
        found, expected = record["ranks"][str(rank)], every["ranks"][str(rank)]
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    first, last = (next(iter(alone[0]["ranks"][rank]["probabilities"].values())) for rank in ("1", "4"))
    assert abs(first - last) > 1e-3  # so that a wrong rank would show


@torch.no_grad()
def test_one_forward_for_all_ranks(module, batch):
    module.predict_step(batch, 0)  # finds out that rows can have ranks of their own
    calls = []
    module.model.register_forward_hook(lambda *args: calls.append(1))
    module.predict_step(batch, 0)
    assert len(calls) == 1


def test_a_rank_outside_the_range_is_refused(module, batch):
    batch["rank"][2] = 9
    with pytest.raises(InputError, match="rank: must be from 1 to max_rank 4"):
        module.predict_step(batch, 0)


@pytest.mark.parametrize(("tokens", "forwards"), [(30, 4), (60, 2), (10**6, 1), (1, 4)])
@torch.no_grad()
def test_as_many_ranks_are_stacked_as_tokens_pay(module, batch, tokens, forwards, monkeypatch):
    del batch["rank"]
    monkeypatch.setitem(stacked_ranks._TOKENS, "cpu", tokens)
    found = {rank: outputs for rank, _, outputs in module.outputs_at_ranks(batch)}
    calls = []
    module.model.register_forward_hook(lambda *args: calls.append(1))
    again = {rank: outputs for rank, _, outputs in module.outputs_at_ranks(batch)}
    assert len(calls) == forwards
    assert list(found) == list(again) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("batch", "tokens"),
    [
        ({"index": torch.zeros(4), "input_ids": torch.zeros(4, 9)}, 36),
        ({"pixel_values": torch.zeros(2, 3, 224, 224)}, 2 * 14 * 14),
        ({"pixel_values": torch.zeros(1, 3, 8, 8)}, 1),
    ],
)
def test_tokens_of_texts_and_images(batch, tokens):
    assert stacked_ranks.tokens_of(batch) == tokens
