"""What a training step of each recipe costs beside a step of a LoRA.

    python benchmarks/recipes_time.py
    python benchmarks/recipes_time.py --quick
    python benchmarks/recipes_time.py --backbone DIR --batch_size 64 --accelerator gpu

All recipes train the same number of steps on the embedded entailment task, in turns within each repetition, so that a
busy machine slows all of them. Printed are the medians of the milliseconds a step and their ratios to LoRA's. The first
steps, which pay for what happens once, do not count. The median does not see a sort: its seconds stand beside it, the
longest step of a run less a median one. That of the default recipe learns on a quarter as many batches as there are
steps, and on 100 at most.
"""

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.distillation import Distillation
from dylora.callbacks.ordered_decay import OrderedDecay
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.callbacks.sort_and_polish import SortAndPolish
from dylora.cli.quiet import quiet
from dylora.data.glue import GLUEDataModule
from dylora.modules.classification import SequenceClassificationModule

WARM_UP = 3  # steps that do not count
LORA = {"distribution": "max_rank"}
RECIPES: dict[str, dict[str, Any]] = {
    "LoRA": LORA,
    "DyLoRA": {},
    "summation": {"objective": "summation"},
    "mixed ranks": {"objective": "mixed"},
    "half-batch": {"objective": "half_batch"},
    "ordered decay, in the loss": {**LORA, "ordered_decay": OrderedDecay(in_loss=1e-3)},
    "ordered decay, decoupled": {**LORA, "ordered_decay": OrderedDecay(decoupled=0.3)},
    "sort (svd) and polish": {"polish": SortAndPolish(sort_at=0.8, sort_by="svd")},
    "sort (two-sided) and polish": {"polish": SortAndPolish(sort_at=0.8, sort_by="two-sided")},
    "sorted (learned, the default)": {"polish": SortAndPolish(sort_at=1.0)},
    "distillation, half-batch": {"objective": "half_batch", "distillation": Distillation(0.5)},
    "compensation": {"compensation": 4.0},
}


class Clock(Callback):
    """Notes the time after each step; a GPU is waited for."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401
        """After a step."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def train(options: argparse.Namespace, sampling: dict[str, Any]) -> list[float]:
    """Seconds of each step that counts."""
    seed_everything(10, verbose=False)
    module = SequenceClassificationModule(backbone=options.backbone, adapter=DyLoRAConfig(max_rank=8))
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
    counted = clock.times[WARM_UP - 1 :]
    return [after - before for before, after in pairwise(counted)]


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="builtin/roberta", help="folder or hub name (default: builtin/roberta)")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps of a run that count (default: 60)")
    parser.add_argument("--batch_size", type=int, default=32, help="rows of a step (default: 32)")
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each recipe (default: 3)")
    parser.add_argument("--accelerator", default="cpu", help="cpu or gpu (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="one run of 10 steps of 8 rows each")
    options = parser.parse_args()
    if options.quick:
        options.steps, options.batch_size, options.repetitions = 10, 8, 1
    quiet()
    steps: dict[str, list[float]] = {name: [] for name in RECIPES}
    sorts: dict[str, list[float]] = {name: [] for name in RECIPES}
    for _ in range(options.repetitions):
        for name, sampling in RECIPES.items():
            seconds = train(options, sampling)
            steps[name] += seconds
            sorts[name].append(max(seconds) - statistics.median(seconds) if "polish" in sampling else 0.0)
    medians = {name: statistics.median(values) for name, values in steps.items()}
    print(f"{options.backbone}, {options.accelerator}, {options.steps} steps of {options.batch_size} rows,", end=" ")
    print(f"{options.repetitions} repetitions; medians of a step")
    for name, value in medians.items():
        once = f"   the sort once: {statistics.median(sorts[name]):.2f} s" if max(sorts[name]) else ""
        print(f"{name:30}{value * 1000:9.1f} ms{value / medians['LoRA']:7.2f} x LoRA{once}")


if __name__ == "__main__":
    main()
