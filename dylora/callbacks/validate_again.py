"""Validate weights once more when training ends: nothing is logged, and all is as before afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from dylora.adapters.parameters import adapter_state
from dylora.callbacks.progress_bar import with_trainers_bar
from dylora.modules.base import EveryRankModule
from dylora.modules.stacked_ranks import Batch
from dylora.runs.checkpoints import read_checkpoint
from dylora.runs.folders import CHECKPOINTS

Weights = dict[str, Tensor]


def best_weights(folder: Path) -> Weights | None:
    """The trained weights of the best checkpoint of a run; None if there is no such file."""
    path = folder / CHECKPOINTS / "best.ckpt"
    found: Weights | None = read_checkpoint(path)["state_dict"] if path.is_file() else None
    return found


@contextmanager
def weights_of(module: EveryRankModule, weights: Weights) -> Iterator[None]:
    """Other trained weights inside a `with` block."""
    before = {name: tensor.clone() for name, tensor in adapter_state(module).items()}
    try:
        module.load_state_dict(weights, strict=False)
        yield
    finally:
        module.load_state_dict(before, strict=False)


@contextmanager
def evaluating(module: EveryRankModule) -> Iterator[None]:
    """Evaluation mode inside a `with` block."""
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, mode in modes:
            each.training = mode


def validation_batches(trainer: Trainer, module: EveryRankModule, words: str) -> Iterator[tuple[int, Batch]]:
    """The batches of the validation that a trainer is set to, on the module's device, each with its loader's number.

    What is done with them is without gradients, and in the trainer's precision.

    Args:
        trainer: In a training run or a validation, with its loaders.
        module: In evaluation mode.
        words: What is done with them, for the progress bar.
    """
    loaders: Any = trainer.val_dataloaders
    loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
    with torch.no_grad(), trainer.precision_plugin.val_step_context():
        for split, (loader, most) in enumerate(zip(loaders, trainer.num_val_batches, strict=True)):
            for batch in with_trainers_bar(trainer, islice(loader, whole(most)), most, words):
                yield split, module.transfer_batch_to_device(batch, module.device, split)


def whole(count: float) -> int | None:
    """A number of batches as `islice` takes it."""
    return None if count == float("inf") else int(count)
