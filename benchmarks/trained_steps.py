"""The seconds of each training step of a run on the embedded entailment task; for the benchmarks of recipes."""

import argparse
import tempfile
import time
from itertools import pairwise
from typing import Any

import timing
import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from dylora.adapters.config import DyLoRAConfig
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.quiet import quiet
from dylora.data.glue import GLUEDataModule
from dylora.modules.classification import SequenceClassificationModule

WARM_UP = 3
"""First steps, which pay for what happens once and do not count."""


def options_of(description: str | None, steps: int) -> argparse.Namespace:
    """The command line of a benchmark of training; libraries are quiet from here on."""
    parser = timing.parser(description, repetitions=3)
    parser.add_argument("--backbone", default="builtin/roberta", help="folder or hub name (default: builtin/roberta)")
    parser.add_argument("--steps", type=int, default=steps, help=f"steps of a run that count (default: {steps})")
    parser.add_argument("--batch_size", type=int, default=32, help="rows of a step (default: 32)")
    parser.add_argument("--accelerator", default="cpu", help="cpu or gpu (default: cpu)")
    options = parser.parse_args()
    if options.quick:
        options.steps, options.batch_size, options.repetitions = 4, 4, 1
    torch.set_num_threads(options.threads)
    quiet()
    return options


class Clock(Callback):
    """Notes the time after each step; a GPU is waited for."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401
        """After a step."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def step_seconds(options: argparse.Namespace, adapter: DyLoRAConfig, sampling: dict[str, Any]) -> list[float]:
    """Seconds of each step that counts, without loading anything and without validation.

    Args:
        options: Those of `options_of`.
        adapter: The ranks.
        sampling: Arguments of `RankSamplingCallback`.
    """
    seed_everything(10, verbose=False)
    module = SequenceClassificationModule(backbone=options.backbone, adapter=adapter)
    data = GLUEDataModule("restaurants", backbone=options.backbone, train_batch_size=options.batch_size)
    clock = Clock()
    trainer = Trainer(
        accelerator=options.accelerator,
        devices=1,
        max_steps=options.steps + WARM_UP,
        callbacks=[RankSamplingCallback("dylora", **sampling), clock],
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tempfile.gettempdir(),
    )
    trainer.fit(module, data)
    return [after - before for before, after in pairwise(clock.times[WARM_UP - 1 :])]
