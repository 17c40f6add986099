"""A training step and an evaluation of every rank with the backbone compiled, beside the same uncompiled.

    python benchmarks/compiled.py
    python benchmarks/compiled.py --device cuda

A random RoBERTa of base's width; ranks are drawn anew at each step and lengths change, so that a graph for one of them
would be seen as time. Also printed: graphs that were made, and the seconds that making them took. On a CPU the compiler
(`g++`) must be there.
"""

import itertools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import timing
import torch
import torch._dynamo.utils as dynamo
from step import batches, roberta
from torch import Tensor, nn

from dylora import DyLoRAConfig, adapt, set_rank
from dylora.modules.compiled import compile_backbone

RANKS = 8


def made(compiled: bool, layers: int, width: int, device: str) -> nn.Module:
    """A RoBERTa with adapters."""
    model = adapt(roberta(layers, width), DyLoRAConfig(max_rank=RANKS)).to(device)
    if compiled:
        compile_backbone(model)
    return model


def step(model: nn.Module, data: list[dict[str, Tensor]], compiled: bool, autocast: bool) -> Callable[[], None]:
    """Forward and backward of every batch, each at the next rank."""
    ranks = itertools.cycle([3, 8, 1, 5, 2, 7, 4, 6])

    def run() -> None:
        model.train()
        for batch in data:
            _activate(model, next(ranks), batch, compiled)
            with _precision(batch, autocast):
                loss = model(**batch).loss
            loss.backward()
            model.zero_grad()
        _wait(data)

    return run


def evaluation(model: nn.Module, data: list[dict[str, Tensor]], compiled: bool, autocast: bool) -> Callable[[], None]:
    """Forward of every batch at every rank."""

    @torch.no_grad()
    def run() -> None:
        model.eval()
        for batch in data:
            for rank in range(1, RANKS + 1):
                _activate(model, rank, batch, compiled)
                with _precision(batch, autocast):
                    model(**batch)
        _wait(data)

    return run


def _activate(model: nn.Module, rank: int, batch: dict[str, Tensor], compiled: bool) -> None:
    rows = len(batch["input_ids"])
    set_rank(model, torch.full((rows,), rank) if compiled else rank)


def _precision(batch: dict[str, Tensor], autocast: bool) -> AbstractContextManager[object]:
    return torch.autocast(batch["input_ids"].device.type, torch.bfloat16) if autocast else nullcontext()


def _wait(data: list[dict[str, Tensor]]) -> None:
    if data[0]["input_ids"].is_cuda:
        torch.cuda.synchronize()


def main() -> None:
    """Parse the command line, measure, print."""
    parser = timing.parser(__doc__)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--bf16", action="store_true", help="under bf16 autocast")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    layers, width, rows, lengths = (1, 64, 4, (12, 20)) if options.quick else (4, 768, 16, (96, 128))
    data = [{k: v.to(options.device) for k, v in batch.items()} for batch in batches(rows, lengths)]
    ways, begin = {}, time.perf_counter()
    for name, compiled in (("compiled", True), ("uncompiled", False)):
        model = made(compiled, layers, width, options.device)
        ways[f"step, {name}"] = step(model, data, compiled, options.bf16)
        ways[f"evaluation, {name}"] = evaluation(model, data, compiled, options.bf16)
    for run in ways.values():
        run()
    graphs = dynamo.counters["stats"]["unique_graphs"]
    print(f"first calls: {time.perf_counter() - begin:.0f} s, {graphs} graphs")
    found = timing.medians(ways, 1 if options.quick else options.repetitions)
    print(f"evaluation, compiled / uncompiled: {found['evaluation, compiled'] / found['evaluation, uncompiled']:.3f}")
    assert dynamo.counters["stats"]["unique_graphs"] == graphs, "graphs were made again"
    timing.show(found, f"s for {len(data)} batches", ("step, compiled", "step, uncompiled"))


if __name__ == "__main__":
    main()
