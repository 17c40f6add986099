"""Predictions of all processes, in the order of the data, as files."""

import json
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from dylora.whole_files import write_whole

Record = dict[str, Any]


class CollectPredictions(Callback):
    """Gather what `predict_step` gives for every row, over batches and processes.

    Attributes:
        records: After predicting, for each split the records in the order of the data; in the first process only.

    Args:
        splits: Names of the splits, in the order of their loaders.
    """

    def __init__(self, splits: tuple[str, ...]) -> None:
        self.splits = splits
        self.records: dict[str, list[Record]] = {split: [] for split in splits}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: list[Record],
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the records of a batch."""
        self.records[self.splits[dataloader_idx]].extend(outputs)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the processes' records together and sort them."""
        shares = [self.records]
        if trainer.world_size > 1:
            shares = [{} for _ in range(trainer.world_size)]
            dist.all_gather_object(shares, self.records)
        self.records = {
            split: sorted((record for share in shares for record in share[split]), key=lambda record: record["index"])
            for split in self.splits
        }


def write_json_lines(path: Path, records: list[Record]) -> None:
    """One JSON object a line."""
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    write_whole(path, "".join(f"{line}\n" for line in lines))
