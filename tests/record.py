"""Callbacks for the tests of whole commands, named on their command line."""

import errno
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.distributed.tensor import DTensor

from dylora.adapters.active_rank import rank_state
from dylora.adapters.parameters import adapter_state


class SignalAt(Callback):
    """Press Ctrl-C in the middle of an optimizer step, once.

    Args:
        step: Number of the step, from 0.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.is_done = False

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step and not self.is_done:
            self.is_done = True
            os.kill(os.getpid(), signal.SIGINT)


class Record(Callback):
    """Write each process's ranks and final adapters to a folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.ranks: list[Any] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        rank = rank_state(pl_module).rank
        self.ranks.append(rank.tolist() if isinstance(rank, torch.Tensor) else rank)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"process_{trainer.global_rank}"
        (self.folder / f"{name}.json").write_text(json.dumps(self.ranks))
        torch.save(adapter_state(pl_module), self.folder / f"{name}.pt")


class FullDisk(Callback):
    """Nothing reaches the disk from the second epoch on."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            os.fsync = _full


class LoseFolder(Callback):
    """The folder of all runs goes in the second epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            shutil.rmtree(trainer.default_root_dir)


class FailSetup(Callback):
    """Something happens after the run's configuration is written and before anything is trained.

    Args:
        name: Of a signal, or `bug`, for an exception that nobody expects.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.name == "bug":
            raise ZeroDivisionError
        signal.raise_signal(signal.Signals[self.name])


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Held(Callback):
    """Write how many of the backbone's frozen numbers a process holds, and how many there are, between two forwards.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        frozen = [each for each in pl_module.parameters() if not each.requires_grad]
        held = sum(each.to_local().numel() if isinstance(each, DTensor) else each.numel() for each in frozen)
        whole = sum(each.numel() for each in frozen)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"held_{trainer.global_rank}.json").write_text(json.dumps([held, whole]))


class Figures(Callback):
    """Write the last evaluation, as files have it, and each example's outcome to a file in the first process.

    Args:
        path: The file, JSON.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, module: Any) -> None:
        if not trainer.is_global_zero:
            return
        kept = module.outcomes
        outcomes = None if kept is None else {"index": kept.index.tolist(), "values": kept.values.tolist()}
        self.path.write_text(json.dumps({**module.record(), "outcomes": outcomes, "files": module.files()}))
