"""Evaluation and generation at every rank: one stacked pass against rank by rank.

    python benchmarks/every_rank.py

The tiny backbones of the package, the same rows, in turns; medians and ratios. On an accelerator the stacked pass also
saves kernel launches; on CPU cores the arithmetic is the same and the gain is what is not done twice.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.load import load_generator
from dylora.backbones.tokenizers import tokenizer_for
from dylora.decoding import end_token_ids, generate_at_ranks, preset
from dylora.modules.classification import SequenceClassificationModule

RANKS = tuple(range(1, 9))
ROWS, TOKENS = 16, 32


def evaluation(stacked: bool) -> Callable[[], None]:
    """A batch of sentences at every rank."""
    rows = ROWS * len(RANKS) if stacked else ROWS
    module = SequenceClassificationModule(eval_rows=rows).eval()
    ids = torch.randint(5, 800, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.zeros(ROWS, dtype=torch.long)}

    @torch.no_grad()
    def run() -> None:
        for _ in range(10):
            assert len(list(module.outputs_at_ranks(batch))) == len(RANKS)

    return run


def generation(stacked: bool) -> Callable[[], None]:
    """A batch of prompts continued at every rank."""
    model = adapt(load_generator("builtin/gpt2"), DyLoRAConfig(max_rank=len(RANKS))).eval()
    tokenizer = tokenizer_for("builtin/gpt2")
    ids = torch.randint(5, 800, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))
    decoding, end, pad = preset("greedy", max_new_tokens=32), end_token_ids(tokenizer), tokenizer.pad_token_id
    calls = [RANKS] if stacked else [(rank,) for rank in RANKS]

    def run() -> None:
        for ranks in calls:
            generate_at_ranks(model, ids, torch.ones_like(ids), ranks, decoding, end, pad)

    return run


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5, help="runs of each way (default: 5)")
    repetitions = parser.parse_args().repetitions
    for name, make in (("evaluation", evaluation), ("greedy generation", generation)):
        ways = {"stacked": make(True), "rank by rank": make(False)}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for run in ways.values():
            run()  # what happens once
        for _ in range(repetitions):
            for way, run in ways.items():
                begin = time.perf_counter()
                run()
                seconds[way].append(time.perf_counter() - begin)
        stacked, single = (statistics.median(values) for values in seconds.values())
        print(f"{name:20}stacked {stacked:.2f} s, rank by rank {single:.2f} s, ratio {single / stacked:.2f}")


if __name__ == "__main__":
    main()
