"""An update of `RowExactAdamW` beside one of torch's foreach AdamW, on the same tensors.

    python benchmarks/optimizer.py

The tensors are the factors of query and value of a RoBERTa-base and its head; ranks are drawn uniformly.
"""

import itertools
from collections.abc import Callable

import timing
import torch
from torch import nn

from dylora.adapters.optim import RowExactAdamW

RANKS = 8


def update(kind: str, layers: int, width: int) -> Callable[[], None]:
    """Fifty updates."""
    generator = torch.Generator().manual_seed(0)
    a = [nn.Parameter(torch.randn(RANKS, width, generator=generator)) for _ in range(2 * layers)]
    b = [nn.Parameter(torch.randn(width, RANKS, generator=generator)) for _ in range(2 * layers)]
    rest = [nn.Parameter(torch.randn(width, width, generator=generator)), nn.Parameter(torch.zeros(width))]
    for parameter in (*a, *b, *rest):
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    groups = [
        {"params": a, "weight_decay": 0.1, "rank_dim": 0},
        {"params": b, "weight_decay": 0.1, "rank_dim": 1},
        {"params": rest, "weight_decay": 0.1, "rank_dim": None},
    ]
    ranks = itertools.cycle(torch.randint(1, RANKS + 1, (97,), generator=generator).tolist())
    made: torch.optim.Optimizer
    if kind == "row-exact":
        made = RowExactAdamW(groups, 1e-3, updated_rows=lambda: slice(0, next(ranks)))
    else:
        made = torch.optim.AdamW(groups, 1e-3, foreach=True)

    def run() -> None:
        for _ in range(50):
            made.step()

    return run


def main() -> None:
    """Parse the command line, measure, print."""
    options = timing.parser(__doc__, repetitions=15).parse_args()
    torch.set_num_threads(options.threads)
    layers, width = (1, 8) if options.quick else (12, 768)
    ways = {kind: update(kind, layers, width) for kind in ("row-exact", "torch foreach")}
    found = timing.medians(ways, 1 if options.quick else options.repetitions)
    timing.show({kind: seconds * 20 for kind, seconds in found.items()}, "ms an update", ("row-exact", "torch foreach"))


if __name__ == "__main__":
    main()
