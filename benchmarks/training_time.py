"""What one DyLoRA run costs beside one LoRA run, a search over the LoRA ranks, and the summation loss.

    python benchmarks/training_time.py
    python benchmarks/training_time.py --backbone DIR --steps 50

All systems train the same number of steps on the embedded entailment task, in turns within each repetition, so that a
busy machine slows all of them. Printed are medians over the repetitions and their ratios, with the paper's beside them:
Appendix A (DyLoRA / LoRA 408.39 s / 399.95 s) and Table 7 (summation / individual 1175.69 s / 645.82 s).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, Trainer, seed_everything

from dylora.adapters.config import DyLoRAConfig
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.quiet import quiet
from dylora.data.glue import GLUEDataModule
from dylora.modules.classification import SequenceClassificationModule

RANKS = range(1, 9)


def train(options: argparse.Namespace, rank: int, sampling: dict[str, Any]) -> float:
    """Seconds of training, without loading anything and without validation."""
    seed_everything(10, verbose=False)
    adapter = DyLoRAConfig(max_rank=rank, min_rank=1 if sampling else rank)
    module = SequenceClassificationModule(backbone=options.backbone, adapter=adapter)
    data = GLUEDataModule("restaurants", backbone=options.backbone, train_batch_size=options.batch_size)
    begin: list[float] = []
    trainer = Trainer(
        max_steps=options.steps + 1,
        callbacks=[RankSamplingCallback("dylora", **sampling), Clock(begin)],
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tempfile.gettempdir(),
    )
    trainer.fit(module, data)
    return begin[1] - begin[0]


class Clock(Callback):
    """Notes the time after the first step, which pays for what happens once, and at the end."""

    def __init__(self, times: list[float]) -> None:
        self.times = times

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401
        """After the first step."""
        if trainer.global_step == 1:
            self.times.append(time.perf_counter())

    def on_train_end(self, *_: Any) -> None:  # noqa: ANN401
        """After the last step."""
        self.times.append(time.perf_counter())


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="builtin/roberta", help="folder or hub name (default: builtin/roberta)")
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps of a run (default: 100)")
    parser.add_argument("--batch_size", type=int, default=32, help="rows of a step (default: 32)")
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each system (default: 3)")
    options = parser.parse_args()
    quiet()
    runs: dict[str, Callable[[], float]] = {
        "LoRA, rank 8": lambda: train(options, 8, {}),
        "DyLoRA, ranks 1-8": lambda: train(options, 8, {"distribution": "uniform"}),
        "DyLoRA, summation loss": lambda: train(options, 8, {"objective": "summation"}),
        "LoRA search, ranks 1-8": lambda: sum(train(options, rank, {}) for rank in RANKS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repetitions):
        for name, run in runs.items():
            seconds[name].append(run())
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{options.backbone}, {options.steps} steps of {options.batch_size} rows, {options.repetitions} repetitions")
    for name, values in seconds.items():
        print(f"{name:24}{medians[name]:9.2f} s   ({min(values):.2f} to {max(values):.2f})")
    lora, dylora, summation, search = medians.values()
    print(f"DyLoRA / LoRA           {dylora / lora:9.2f}     (paper: 1.02)")
    print(f"LoRA search / DyLoRA    {search / dylora:9.2f}     (8 runs)")
    print(f"summation / individual  {summation / dylora:9.2f}     (paper: 1.82)")


if __name__ == "__main__":
    main()
