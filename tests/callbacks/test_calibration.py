"""The two-sided cut's statistics from a trainer's data, for any kind of outputs."""

import pytest
import tiny_text
import torch
from lightning.pytorch import LightningDataModule, Trainer

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.factors import LowRankFactors
from dylora.callbacks.calibration import calibrate
from dylora.callbacks.cut import CutAdapter
from dylora.data.glue import GLUEDataModule
from dylora.errors import InputError
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule


class Own(LightningDataModule):
    """A data module that is none of this package's."""

    def __init__(self, loader):
        super().__init__()
        self.loader = loader
        self.stages = []

    def setup(self, stage):
        self.stages.append(stage)

    def train_dataloader(self):
        return self.loader

    def val_dataloader(self):
        return self.loader


@pytest.fixture
def trainer(tmp_path):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[CutAdapter("two-sided", 10)], **quiet)


def _filled(module):
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return module


def test_own_data_is_asked_for_its_training_batches(trainer, module, loader):
    data = Own(loader)
    trainer.validate(_filled(module), datamodule=data, verbose=False)
    (cut,) = [callback for callback in trainer.callbacks if isinstance(callback, CutAdapter)]
    assert cut.calibration.examples == 10
    assert data.stages == ["validate", "fit"]
    names = {name for name, part in module.model.named_modules() if isinstance(part, LowRankFactors)}
    assert cut.calibration.sensitivities.keys() == names
    assert all(found.gradients.trace() > 0 for found in cut.calibration.sensitivities.values())


def test_without_training_data_it_is_one_line(trainer, module, loader):
    with pytest.raises(
        InputError, match="--cut: must be alpha/b, alpha/max_rank or svd where there are no training ex"
    ):
        trainer.validate(_filled(module), loader, verbose=False)


def test_a_module_of_unknown_outputs_is_refused(trainer, module):
    module.outcome_kind = None
    with pytest.raises(InputError, match="outputs of unknown kind"):
        calibrate(trainer, module)


def test_a_regression_weighs_by_its_scores(backbone, loader, trainer):
    module = _filled(SequenceClassificationModule("stsb", backbone, DyLoRAConfig(max_rank=4)))
    assert module.outcome_kind == "scores"
    for row in loader.dataset:
        row["labels"] = float(row["labels"])
    trainer.validate(module, datamodule=Own(loader), verbose=False)
    (cut,) = [callback for callback in trainer.callbacks if isinstance(callback, CutAdapter)]
    assert all(found.gradients.trace() > 0 for found in cut.calibration.sensitivities.values())


def test_a_language_model_weighs_its_labelled_tokens(tmp_path):
    backbone = tiny_text.save_writer(tmp_path / "backbone")
    module = GenerationModule("restaurants", backbone, adapter=DyLoRAConfig(max_rank=4), decoding="greedy").eval()
    data = tiny_text.Restaurants()
    module.bind(data)
    batch = data.teacher_forced([0, 1, 2])
    tokens = int((batch["labels"][:, 1:] != -100).sum())
    assert module.outputs_of(batch).shape == (tokens, module.model.config.vocab_size)


def test_calibration_rows_are_training_rows_and_the_same_every_time(backbone, tmp_path):
    data = GLUEDataModule("restaurants", backbone=backbone, cache_dir=str(tmp_path), max_length=16)
    data.prepare_data()
    rows = [torch.cat([batch["index"] for batch in data.calibration_dataloader(50)]).tolist() for _ in range(2)]
    assert rows[0] == rows[1]
    assert len(set(rows[0])) == 50
    assert max(rows[0]) > 500  # from the whole split, not its beginning
