"""Dropout that a resumed run repeats."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class StepSeed(Callback):
    """Seed torch's generators from (seed, batch, process) before every training batch.

    What dropout draws is then a function of where training stands, so a run that was interrupted and resumed ends
    with the weights of one that was not.

    Args:
        seed: The run's seed, 0 or larger.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Seed the generators of this process."""
        words = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))
