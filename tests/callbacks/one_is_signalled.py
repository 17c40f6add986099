"""Train in two processes, of which the second alone is sent a signal in its third step.

Arguments: the checkpoint to write. Each process prints after which steps it asked the other one.
"""

import os
import signal
import sys
import warnings

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from dylora.callbacks.interrupt import SaveOnInterrupt


class Line(LightningModule):
    """A line through 80 points."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def training_step(self, batch):
        return self.line(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(torch.randn(80, 1), batch_size=2)


class SignalTheSecond(Callback):
    """Also writes down the steps after which a process asks."""

    def on_train_start(self, trainer, pl_module):
        reduce = trainer.strategy.reduce_boolean_decision

        def noted(decision, all=True):
            os.write(1, f"{trainer.global_rank} asked after step {trainer.global_step}\n".encode())
            return reduce(decision, all=all)

        trainer.strategy.reduce_boolean_decision = noted

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 2 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Lightning's advice
    torch.set_num_threads(1)
    trainer = Trainer(
        accelerator="cpu",
        strategy="ddp",
        devices=2,
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[SaveOnInterrupt(sys.argv[1]), SignalTheSecond()],
    )
    trainer.fit(Line())
