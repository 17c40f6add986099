"""The adapter is cut while an evaluation runs, and not a moment longer."""

import pytest
import torch
from lightning.pytorch import Trainer

from dylora.adapters.cuts import cut
from dylora.callbacks.cut import CutAdapter


@pytest.fixture
def trainer(tmp_path):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
        callbacks=[CutAdapter("svd")],
    )


@pytest.fixture
def filled(module):
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("run", ["validate", "test"])
def test_figures_are_those_of_the_cut_adapter_and_it_is_restored(trainer, filled, loader, run):
    before = {name: p.detach().clone() for name, p in filled.named_parameters()}
    getattr(trainer, run)(filled, loader, verbose=False)
    found = filled.results
    assert all(torch.equal(p, before[name]) for name, p in filled.named_parameters())
    filled.eval()
    filled.log = lambda *args, **kwargs: None
    for expect_same in (True, False):
        with torch.inference_mode(), cut(filled.model, "svd" if expect_same else "alpha/max_rank"):
            for batch in loader:
                filled.count(batch, 0)
            filled.on_validation_epoch_end()
        if expect_same:
            assert filled.results["loss"] == pytest.approx(found["loss"], rel=1e-6)
        else:
            assert abs(filled.results["loss"][1] - found["loss"][1]) > 1e-5


def test_an_evaluation_that_fails_leaves_the_adapter_whole(trainer, filled, loader, monkeypatch):
    before = {name: p.detach().clone() for name, p in filled.named_parameters()}

    def fail(*args):
        assert not all(torch.equal(p, before[name]) for name, p in filled.named_parameters())
        raise RuntimeError("broken")

    monkeypatch.setattr(filled, "update_metric", fail)
    with pytest.raises(RuntimeError, match="broken"):
        trainer.validate(filled, loader, verbose=False)
    assert all(torch.equal(p, before[name]) for name, p in filled.named_parameters())
