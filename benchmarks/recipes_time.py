"""What a training step of each recipe costs beside a step of a LoRA.

    python benchmarks/recipes_time.py
    python benchmarks/recipes_time.py --backbone DIR --batch_size 64 --accelerator gpu

All recipes train the same number of steps on the embedded entailment task. Printed are the medians of the milliseconds
a step; the last line is the ratio of the default recipe to a LoRA. The median does not see a sort: its seconds stand
above, the longest step of a run less a median one. That of the default recipe learns on a quarter as many batches as
there are steps, and on 100 at most.
"""

import statistics
from functools import partial
from itertools import chain
from typing import Any

import timing
from trained_steps import options_of, step_seconds

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.distillation import Distillation
from dylora.callbacks.ordered_decay import OrderedDecay
from dylora.callbacks.sort_and_polish import SortAndPolish

DEFAULT = "sorted (learned, the default)"
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
    DEFAULT: {"polish": SortAndPolish(sort_at=1.0)},
    "distillation, half-batch": {"objective": "half_batch", "distillation": Distillation(0.5)},
    "compensation": {"compensation": 4.0},
}


def main() -> None:
    """Parse the command line, measure, print."""
    options = options_of(__doc__, steps=60)
    adapter = DyLoRAConfig(max_rank=8)
    runs = {name: partial(step_seconds, options, adapter, sampling) for name, sampling in RECIPES.items()}
    steps = timing.in_turns(runs, options.repetitions)
    print(f"{options.backbone}, {options.accelerator}, {options.steps} steps of {options.batch_size} rows,", end=" ")
    print(f"{options.repetitions} repetitions; medians of a step")
    for name in (name for name, sampling in RECIPES.items() if "polish" in sampling):
        sorts = [max(seconds) - statistics.median(seconds) for seconds in steps[name]]
        print(f"the sort of {name}, once: {statistics.median(sorts):.2f} s")
    medians = {name: 1000 * statistics.median(chain.from_iterable(values)) for name, values in steps.items()}
    timing.show(medians, "ms a step", (DEFAULT, "LoRA"))


if __name__ == "__main__":
    main()
