"""A LoRA of rank 64 of a 7 B-shaped model made elastic: thin QR here, against PEFT's `convert_to_lora`.

    python benchmarks/convert.py

The adapter has 224 pairs of 4096 x 4096 (seven in each of 32 layers) with random factors. Here all pairs are sorted;
PEFT's function, which takes the SVD of the dense product, runs on a few pairs, from which its time for all is reckoned.
Memory is the largest resident size above that at the start, of each way in a process of its own.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
import warnings
from functools import partial

import timing
import torch
from torch import nn

from dylora.adapters.sorting import sorted_factors

WIDTH, RANK, PAIRS = 4096, 64, 224
QUICK_WIDTH, QUICK_RANK, QUICK_PAIRS = 256, 8, 4


def factors(width: int, rank: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random factors of one layer."""
    generator = torch.Generator().manual_seed(seed)
    draw = (torch.randn(shape, generator=generator) / width**0.5 for shape in ((rank, width), (width, rank)))
    lora_A, lora_B = draw
    return lora_A, lora_B


def sort_pairs(width: int, rank: int, pairs: int) -> tuple[float, tuple[torch.Tensor, torch.Tensor]]:
    """Seconds for all pairs, and the new factors of the last one."""
    seconds = 0.0
    for seed in range(pairs):
        lora_A, lora_B = factors(width, rank, seed)
        begin = time.perf_counter()
        new_A, new_B = sorted_factors(lora_A, lora_B)
        seconds += time.perf_counter() - begin
    return seconds, (new_A, new_B)


def convert_with_peft(width: int, rank: int, pairs: int) -> tuple[float, tuple[torch.Tensor, torch.Tensor]]:
    """The same of PEFT's function."""
    from peft import LoraConfig, convert_to_lora, get_peft_model

    base = nn.ModuleDict({f"layer{seed}": nn.Linear(width, width, bias=False) for seed in range(pairs)})
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=rank, target_modules=list(base)))
    for seed in range(pairs):
        layer = model.base_model.model[f"layer{seed}"]
        layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data = factors(width, rank, seed)
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a LoRA already
        _, state = convert_to_lora(model, rank)
    seconds = time.perf_counter() - begin
    last = f"base_model.model.layer{pairs - 1}"
    return seconds, (state[f"{last}.lora_A.weight"], state[f"{last}.lora_B.weight"])


def relative_error(*four: torch.Tensor) -> float:
    """Norm of the difference of two products beside that of the first."""
    lora_A, lora_B, new_A, new_B = four
    product = lora_B @ lora_A
    return float((new_B @ new_A - product).norm() / product.norm())


WAYS = {"dylora": sort_pairs, "peft": convert_with_peft}


def measure(way: str, width: int, rank: int, pairs: int, threads: int) -> dict[str, float]:
    """Run one way in this process; seconds, relative error, MB above the start."""
    torch.set_num_threads(threads)
    if way == "peft":
        import peft  # noqa: F401 (before the memory is read)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, new = WAYS[way](width, rank, pairs)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    error = relative_error(*factors(width, rank, pairs - 1), *new)
    return {"seconds": seconds / pairs, "error": error, "megabytes": used / 1024}


def measured_alone(way: str, *sizes: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", way, *map(str, sizes)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    """Parse the command line, measure each way in a process of its own, print."""
    parser = timing.parser(__doc__, repetitions=1)
    parser.add_argument("--peft_pairs", type=int, default=2, help="pairs that PEFT converts (default: 2)")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, *sizes = options.one
        print(json.dumps(measure(way, *map(int, sizes))))
        return
    torch.set_num_threads(options.threads)
    width, rank, pairs = (QUICK_WIDTH, QUICK_RANK, QUICK_PAIRS) if options.quick else (WIDTH, RANK, PAIRS)
    counts = {"dylora": pairs, "peft": min(options.peft_pairs, pairs)}
    ways = {way: partial(measured_alone, way, width, rank, count, options.threads) for way, count in counts.items()}
    found = timing.in_turns(ways, options.repetitions)
    print(f"{pairs} pairs of {width} x {width}, rank {rank}")
    seconds = {}
    for way, runs in found.items():
        seconds[way] = pairs * statistics.median(run["seconds"] for run in runs)
        told = (
            f"{counts[way]} pairs measured, {1000 * seconds[way] / pairs:.1f} ms a pair, {runs[-1]['megabytes']:.0f} MB"
        )
        print(f"{way:8}{told}, relative error {runs[-1]['error']:.1e}")
    timing.show(seconds, "s for all pairs", ("dylora", "peft"))


if __name__ == "__main__":
    main()
