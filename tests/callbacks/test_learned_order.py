"""The learned cut in an evaluation: the lower ranks get better, the largest and the weights stay."""

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, IterableDataset

from dylora.adapters.active_rank import rank_state
from dylora.callbacks.cut import CutAdapter
from dylora.errors import InputError


class Own(LightningDataModule):
    """The same rows to train and to validate on."""

    def __init__(self, loader, training=None):
        super().__init__()
        self.loader, self.training = loader, loader if training is None else training

    def train_dataloader(self):
        return self.training

    def val_dataloader(self):
        return self.loader


class Nothing(IterableDataset):
    """A stream that ends at once."""

    def __iter__(self):
        return iter(())


def filled_with(module):
    """A module whose ranks differ much."""
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=5.0)
    torch.nn.init.normal_(module.model.classifier.out_proj.weight)
    return module


@pytest.fixture
def filled(module):
    return filled_with(module)


@pytest.fixture
def validate(tmp_path):
    def run(module, data, kind):
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        callback = CutAdapter(kind, 24)
        trainer = Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[callback], **quiet)
        trainer.validate(module, datamodule=data, verbose=False)
        return module.results["loss"], callback

    return run


def test_the_order_is_learned_on_a_backbone_in_bf16(make_module, loader, validate):
    module = filled_with(make_module(backbone_dtype="bf16"))
    losses, _ = validate(module, Own(loader), "learned")
    assert all(torch.tensor(loss).isfinite() for loss in losses.values())
    assert {p.dtype for p in module.parameters() if p.requires_grad} == {torch.float32}


@pytest.mark.parametrize("apart", [True, False])
def test_lower_ranks_are_better_on_what_they_were_ordered_for(filled, loader, validate, apart):
    if not apart:  # as a model that mixes the rows of a batch is found to be
        rank_state(filled.model).row_checks["forward"] = False
    before = {name: p.detach().clone() for name, p in filled.named_parameters()}
    two_sided, _ = validate(filled, Own(loader), "two-sided")
    learned, callback = validate(filled, Own(loader), "learned")
    assert sum(learned[rank] for rank in (1, 2, 3)) < sum(two_sided[rank] for rank in (1, 2, 3)) - 1e-3
    assert learned[4] == pytest.approx(two_sided[4], rel=1e-5)
    assert all(torch.equal(p, before[name]) for name, p in filled.named_parameters())
    assert callback.calibration.examples == 24
    assert callback.order.steps == 100
    assert str(callback.order).startswith("100 training batches in ")


def test_statistics_that_do_not_fit_are_left_out(filled, loader, validate, monkeypatch):
    monkeypatch.setattr("dylora.callbacks.cut.MOST_BYTES", 0)
    _, callback = validate(filled, Own(loader), "learned")
    assert callback.calibration is None
    assert callback.order.steps == 100


def test_training_data_without_a_batch_is_one_line_and_no_endless_wait(filled, loader, validate, monkeypatch):
    monkeypatch.setattr("dylora.callbacks.cut.MOST_BYTES", 0)
    with pytest.raises(InputError, match=r"--cut: .* no training batches"):
        validate(filled, Own(loader, DataLoader(Nothing())), "learned")
