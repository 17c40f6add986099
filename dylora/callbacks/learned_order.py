"""The training batches that an adapter's order is learned on, taken from whatever data a trainer has."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor

from dylora.adapters.learned_order import STEPS, learn_order_
from dylora.adapters.sorting import Factors, kept_factors
from dylora.callbacks.calibration import on_device, outputs_in_precision, training_rows
from dylora.callbacks.progress_bar import with_trainers_bar
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.modules.stacked_ranks import Batch, rows_of

_MOST_ROWS = 1024
"""Of a batch: so many rows a step are drawn at most, before they repeat."""


@dataclass(frozen=True)
class LearnedOrder:
    """How an adapter's order was learned.

    Attributes:
        factors: What was learned, on the CPU; the factors of each pair by its name in the model.
        steps: Number of batches.
        seconds: How long it took.
    """

    factors: Factors
    steps: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.steps} training batches in {self.seconds:.1f} s"


def learn_order(trainer: Trainer, module: EveryRankModule, steps: int = STEPS, seed: int = 0) -> LearnedOrder:
    """Train the basis of an adapter's components on training batches, in place; all processes have to call it.

    See `dylora.adapters.learned_order`. The rows are drawn by the seed, and where training stands in its data stays as
    it is. A model whose rows cannot be at ranks of their own takes a rank a step.

    Args:
        trainer: With a data module, or in a training run.
        module: Adapted, of scaling `alpha/max_rank`, its components sorted by a cut.
        steps: Number of batches, of the size that training has, 0 or more.
        seed: Draws rows and ranks.

    Raises:
        InputError: If there are no training examples, or the module gives no outputs.
    """
    if module.outcome_kind is None:
        given = f"{type(module).__name__}, which has no outcome_kind"
        raise InputError("--cut", "another than learned for outputs of unknown kind", given, "use svd")
    start = perf_counter()
    batches = on_device(trainer, module, _endless(training_rows(trainer, steps * _MOST_ROWS, seed)))
    learn_order_(
        module.model,
        with_trainers_bar(trainer, islice(batches, steps), steps, "Learning the order"),
        lambda batch: _loss(trainer, module, batch),
        steps=steps,
        rows_of=rows_of,
        rank_per_row=module.rows_apart(next(batches)),
        seed=seed,
        processes=(trainer.world_size, trainer.global_rank),
        add_up=dist.all_reduce if trainer.world_size > 1 else lambda _: None,
    )
    return LearnedOrder(kept_factors(module.model), steps, perf_counter() - start)


def _loss(trainer: Trainer, module: EveryRankModule, batch: Batch) -> Tensor:
    losses, _ = module.losses_at(outputs_in_precision(trainer, module, batch).float(), batch)
    return losses.sum()


def _endless(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches again and again, so that every process has as many as another."""
    while True:
        batch = None
        for batch in batches:
            yield batch
        if batch is None:
            allowed = "one that trains nothing where there are no training batches"
            raise InputError("--cut", allowed, "learned", "use svd, or give the data that it was trained on")
