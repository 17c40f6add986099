"""Validate sets of rows in two processes of Lightning; the first prints which rows were counted, and the metrics.

Arguments: file of the logits, scores and labels of all rows; the sizes of the sets to validate.
"""

import json
import sys
import warnings

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from dylora.data.batching import EvaluationSampler
from dylora.metrics.glue import GLUEMetrics
from dylora.tasks import get_task


class Replay(LightningModule):
    """Counts stored outputs of the first rows with the metrics of several tasks."""

    def __init__(self, stored, rows):
        super().__init__()
        self.stored = stored
        self.rows = rows
        self.layer = torch.nn.Linear(1, 1)
        self.metrics = torch.nn.ModuleDict({name: GLUEMetrics(get_task(name)) for name in stored})
        self.seen = []

    def val_dataloader(self):
        lengths = [3 + row % 5 for row in range(self.rows)]
        sampler = EvaluationSampler(lengths, self.trainer.world_size, self.trainer.global_rank)
        return [DataLoader(range(self.rows), batch_size=2, sampler=sampler)]

    def validation_step(self, batch, batch_idx):
        self.seen.extend(batch.tolist())
        for name, metric in self.metrics.items():
            outputs, labels = self.stored[name]
            metric.update(outputs[batch], labels[batch])

    def on_validation_epoch_end(self):
        shares = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(shares, self.seen)
        figures = {name: metric.compute() for name, metric in self.metrics.items()}
        if self.trainer.is_global_zero:
            rows = sorted(row for share in shares for row in share)
            print(json.dumps([rows, figures]), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    for rows in map(int, sys.argv[2:]):
        trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", **quiet)
        trainer.validate(Replay(torch.load(sys.argv[1]), rows), verbose=False)
