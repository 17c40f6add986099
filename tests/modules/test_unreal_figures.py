"""An evaluation whose logits are not finite reports no number, chooses no rank, and predicts no class."""

import math

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from dylora.adapters.active_rank import rank_state
from dylora.adapters.config import DyLoRAConfig
from dylora.modules.classification import SequenceClassificationModule


class Poisoned(SequenceClassificationModule):
    """Gives logits that are not finite in some rows at some ranks."""

    bad_ranks = (1, 2, 3, 4)
    value = math.nan

    def outputs_at_ranks(self, batch):
        for rank, loss, outputs in super().outputs_at_ranks(batch):
            if rank in self.bad_ranks:
                outputs = outputs.clone()
                outputs[0] = self.value
                loss = loss * math.nan
            yield rank, loss, outputs


@pytest.fixture
def module(backbone):
    torch.manual_seed(0)
    return Poisoned(backbone=backbone, task="restaurants", adapter=DyLoRAConfig(max_rank=4))


@pytest.fixture
def loader():
    rows = [
        {"input_ids": torch.arange(5, 11) + i, "attention_mask": torch.ones(6, dtype=torch.long), "labels": i % 2}
        | {"index": i}
        for i in range(8)
    ]
    return DataLoader(rows, batch_size=4)


def evaluate(module, loader, tmp_path):
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.validate(module, loader, verbose=False)
    return module


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_every_rank_without_numbers_chooses_none(module, loader, tmp_path, value):
    module.value = value
    evaluate(module, loader, tmp_path)
    assert all(math.isnan(figure) for figure in module.results["accuracy"].values())
    assert module.summary().chosen_rank is None
    assert module.summary().best_rank is None
    assert module.outcomes is None


def test_a_rank_without_numbers_is_not_chosen(module, loader, tmp_path):
    module.bad_ranks = (1, 4)
    evaluate(module, loader, tmp_path)
    assert [math.isnan(module.results["accuracy"][rank]) for rank in (1, 2, 3, 4)] == [True, False, False, True]
    assert module.summary().chosen_rank in (2, 3)
    assert module.outcomes is None


def test_a_sound_evaluation_is_as_it_was(module, loader, tmp_path):
    module.bad_ranks = ()
    evaluate(module, loader, tmp_path)
    assert all(0 <= figure <= 1 for figure in module.results["accuracy"].values())
    assert module.outcomes is not None


def test_a_row_without_finite_logits_gets_no_class(module):
    assert module._prediction(torch.tensor([math.nan, 1.0]))["label"] is None
    assert module._prediction(torch.tensor([0.0, 1.0]))["label"] == module.label_names[1]
    assert rank_state(module.model).config.max_rank == 4
