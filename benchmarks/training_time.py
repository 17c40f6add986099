"""What one DyLoRA run costs beside one LoRA run, a search over the LoRA ranks, and the summation loss.

    python benchmarks/training_time.py
    python benchmarks/training_time.py --backbone DIR --steps 50

All systems train the same number of steps on the embedded entailment task. Printed are medians over the repetitions,
their ratios with the paper's beside them (Appendix A: DyLoRA / LoRA 408.39 s / 399.95 s; Table 7: summation /
individual 1175.69 s / 645.82 s), and last the ratio of a DyLoRA to a LoRA run.
"""

import argparse
import statistics
from typing import Any

import timing
from trained_steps import options_of, step_seconds

from dylora.adapters.config import DyLoRAConfig

RANKS = range(1, 9)


def train(options: argparse.Namespace, rank: int, sampling: dict[str, Any]) -> float:
    """Seconds of training."""
    adapter = DyLoRAConfig(max_rank=rank, min_rank=1 if sampling else rank)
    return sum(step_seconds(options, adapter, sampling))


def main() -> None:
    """Parse the command line, measure, print."""
    options = options_of(__doc__, steps=100)
    runs = {
        "LoRA, rank 8": lambda: train(options, 8, {}),
        "DyLoRA, ranks 1-8": lambda: train(options, 8, {"distribution": "uniform"}),
        "DyLoRA, summation loss": lambda: train(options, 8, {"objective": "summation"}),
        "LoRA search, ranks 1-8": lambda: sum(train(options, rank, {}) for rank in RANKS),
    }
    seconds = timing.in_turns(runs, options.repetitions)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    _, dylora, summation, search = medians.values()
    print(f"{options.backbone}, {options.steps} steps of {options.batch_size} rows, {options.repetitions} repetitions")
    print(f"summation / individual {summation / dylora:.2f} (paper: 1.82), LoRA search / DyLoRA {search / dylora:.2f};")
    print("DyLoRA / LoRA in the last line (paper: 1.02)")
    timing.show(medians, "s", ("DyLoRA, ranks 1-8", "LoRA, rank 8"))


if __name__ == "__main__":
    main()
