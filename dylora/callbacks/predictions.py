"""Predictions of all processes, in the order of the data, as files."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from dylora.modules.base import EveryRankModule
from dylora.runs.folders import free_path
from dylora.whole_files import UnwritableError, write_whole

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
        if isinstance(pl_module, EveryRankModule):
            pl_module.await_others()
        if trainer.world_size > 1:
            shares = [{} for _ in range(trainer.world_size)]
            dist.all_gather_object(shares, self.records)
        self.records = {
            split: sorted((record for share in shares for record in share[split]), key=lambda record: record["index"])
            for split in self.splits
        }


def write_records(folder: Path, records: Mapping[str, list[Record]]) -> list[Path]:
    """A JSON Lines file for each name; an existing file is kept and the new one numbered.

    Where the folder cannot be written, all are kept in a new one below the temporary folder.

    Args:
        folder: Where the files go; made if it is not there.
        records: What goes into each file, by its name.

    Returns:
        The files.

    Raises:
        UnwritableError: If the folder could not be written, naming the one in its place.
    """
    try:
        return [_write_new(folder, name, lines) for name, lines in records.items()]
    except UnwritableError as error:
        other = Path(mkdtemp(prefix="dylora-predictions-"))
        for name, lines in records.items():
            _write_new(other, name, lines)
        raise error.with_fix(f"all predictions are kept in {other}") from error


def _write_new(folder: Path, name: str, records: list[Record]) -> Path:
    path = free_path(folder / f"{name}.jsonl")
    write_json_lines(path, records)
    return path


def write_json_lines(path: Path, records: list[Record]) -> None:
    """One JSON object a line."""
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    write_whole(path, "".join(f"{line}\n" for line in lines))
