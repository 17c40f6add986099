"""A recording module for the tests of the callbacks."""

import pytest
import tiny
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from dylora.adapters.active_rank import rank_state
from dylora.adapters.config import DyLoRAConfig
from dylora.modules.classification import SequenceClassificationModule


class Recording(SequenceClassificationModule):
    """Keeps the rank and update mode of every training batch."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        state = rank_state(self.model)
        self.seen.append((state.rank, state.frozen, self._step_ranks, self._step_weights))
        return loss


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return tiny.save_backbone(tmp_path_factory.mktemp("callbacks") / "backbone")


@pytest.fixture
def make_module(backbone):
    """Build the same recording module at every call."""

    def build(**changes):
        torch.manual_seed(0)
        options = {"task": "restaurants", "adapter": DyLoRAConfig(max_rank=4), "learning_rate": 1e-3, **changes}
        module = Recording(backbone=backbone, **options)
        module.seen = []
        return module

    return build


@pytest.fixture
def module(make_module):
    return make_module()


@pytest.fixture
def loader():
    rows = [
        {"input_ids": torch.arange(5, 11) + i, "attention_mask": torch.ones(6, dtype=torch.long), "labels": i % 2}
        for i in range(24)
    ]
    return DataLoader(rows, batch_size=4)


@pytest.fixture
def fit(module, loader, tmp_path):
    """Fit for some epochs of six batches with the callbacks and trainer options given."""

    def run(*callbacks, validate=False, ckpt_path=None, model=module, train_loader=loader, **options):
        defaults = {"max_epochs": 2, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        if not validate:
            defaults["limit_val_batches"] = 0
        trainer = Trainer(
            accelerator="cpu",
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=tmp_path,
            callbacks=list(callbacks),
            **{**defaults, **options},
        )
        trainer.fit(model, train_loader, loader, ckpt_path=ckpt_path, weights_only=True)
        return trainer

    return run
