"""What a user of the command line may bring along: a LightningModule, data, and a callback of their own."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dylora.methods.adapter import Adapter


class Line(LightningModule):
    """A straight line; it knows nothing of ranks.

    Args:
        learning_rate: Step of SGD.
        task: What it is for; of no meaning to others.
    """

    def __init__(self, learning_rate: float = 0.1, task: str = "line") -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.task = task
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        loss = self._loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self._loss(batch))

    def predict_step(self, batch, batch_idx):
        return self.layer(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.learning_rate)

    def _loss(self, batch):
        return nn.functional.mse_loss(self.layer(batch[0]), batch[1])


class Points(LightningDataModule):
    """Points of y = 2 x.

    Args:
        count: How many.
        seed: Where they are.
        backbone: Not a model's; of no meaning to others.
    """

    def __init__(self, count: int = 8, seed: int = 3, backbone: str = "steel") -> None:
        super().__init__()
        self.count, self.seed, self.backbone = count, seed, backbone

    def train_dataloader(self):
        x = torch.rand(self.count, 1, generator=torch.Generator().manual_seed(self.seed))
        return DataLoader(TensorDataset(x, 2 * x), batch_size=4)

    val_dataloader = predict_dataloader = train_dataloader


class Count(Callback):
    """Count training batches in a file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.path.write_text(str(trainer.global_step))


class SaveAt(Callback):
    """Save a checkpoint after a step.

    Args:
        step: The step.
        path: Where to.
    """

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


class Broken(LightningDataModule):
    """Data that cannot be built."""

    def __init__(self) -> None:
        raise RuntimeError("this data cannot be built")


class Sentences(LightningDataModule):
    """Sentences of random tokens in two classes, for a model of dylora's."""

    def train_dataloader(self):
        ids = torch.randint(10, 50, (12, 6), generator=torch.Generator().manual_seed(0))
        rows = [
            {"input_ids": row, "attention_mask": torch.ones_like(row), "labels": row[0] % 2, "index": torch.tensor(i)}
            for i, row in enumerate(ids)
        ]
        return DataLoader(rows, batch_size=4)

    val_dataloader = train_dataloader


class NormalisedHead(Adapter):
    """DyLoRA below a head that normalises where others drop out."""

    def prepare(self, model, adapter):
        super().prepare(model, adapter)
        model.classifier.dropout = nn.BatchNorm1d(model.config.hidden_size)
