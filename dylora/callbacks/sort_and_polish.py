"""Sort the adapter's components in the middle of training, and go on with mixed ranks."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import IterableDataset

from dylora.adapters.factors import LowRankFactors
from dylora.adapters.learned_order import STEPS
from dylora.adapters.sensitivity import MOST_BYTES, statistics_bytes
from dylora.adapters.sorting import sort_
from dylora.callbacks.calibration import calibrate
from dylora.callbacks.learned_order import learn_order
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule

_ROUNDING = 1e-6  # 0.29 * 100 is less than 29

Objective = Literal["individual", "summation", "mixed", "half_batch"]

SortBy = Literal["learned", "two-sided", "svd"]

_LARGEST_SHARE = 0.25  # of the steps of training, for those that learn the order


@dataclass(frozen=True)
class SortAndPolish:
    """Train at `max_rank`, sort the components in place, and train lower ranks for the rest of the steps.

    The function at `max_rank`, the learning rates and the optimizer's moments stay as they are. It needs the scaling
    `alpha/max_rank`.

    Attributes:
        sort_at: Share of the optimizer steps before the sort, above 0 and at most 1. At 1 nothing is polished: the
            adapter is sorted behind the last step, before it is validated and kept. Null takes that of the recipe.
        sort_by: `two-sided`, by what dropping a component costs, where its statistics fit into 1 GiB (else `svd`, which
            is said); `learned`, from there on trained for the loss of the lower ranks, the largest one staying as it
            is; or `svd`, by its singular value alone.
        examples: Training examples that `two-sided` gathers its statistics on, 1 or more, drawn by the seed.
        order_steps: Training batches that `learned` takes, 1 or more, and never more than a quarter of all steps.
        objective: The objective after the sort, as `rank_sampling.objective`; before it every step is at `max_rank`.

    Raises:
        InputError: If a value is outside what is written above.
    """

    sort_at: float | None = None
    sort_by: SortBy = "learned"
    examples: int = 1000
    order_steps: int = STEPS
    objective: Objective = "half_batch"

    def __post_init__(self) -> None:
        option = "rank_sampling.polish"
        if self.sort_at is not None and not 0 < self.sort_at <= 1:
            raise InputError(f"{option}.sort_at", "above 0 and at most 1", self.sort_at, "null leaves it to the recipe")
        if self.sort_by not in get_args(SortBy):
            allowed = "one of " + ", ".join(get_args(SortBy))
            raise InputError(f"{option}.sort_by", allowed, repr(self.sort_by), "choose one of them")
        if self.order_steps < 1:
            raise InputError(f"{option}.order_steps", "1 or more", self.order_steps, f"{STEPS} are enough")
        if self.examples < 1:
            raise InputError(f"{option}.examples", "1 or more", self.examples, "1000 are enough")

    def step(self, total_steps: float) -> int | None:
        """Number of the optimizer step, from 0, that begins with the sort, at least 1; None without one."""
        return None if self.sort_at is None else max(1, math.floor(self.sort_at * total_steps + _ROUNDING))


def sort_in_training(trainer: Trainer, module: EveryRankModule, options: SortAndPolish, seed: int) -> None:
    """Sort the adapter of a module that is being trained; the same in all processes.

    A pair whose `lora_B` is still zero is left as it is: sorted, both factors would be zero and stay so.

    Raises:
        InputError: If the statistics need training data that cannot be drawn from.
    """
    pairs = [m for m in module.model.modules() if isinstance(m, LowRankFactors)]
    untrained = [(pair, pair.lora_A.detach().clone()) for pair in pairs if not pair.lora_B.any()]
    sensitivities = None
    needed = statistics_bytes(module.model)
    if options.sort_by != "svd":
        _check_length(trainer, options.sort_by)
    if options.sort_by == "two-sided" and needed > MOST_BYTES:
        rank_zero_info(f"Sorted by singular value: the two-sided cut's statistics need {needed / 2**30:.1f} GiB")
    elif options.sort_by != "svd" and needed <= MOST_BYTES:
        with _without_memory(trainer, "its components are sorted by singular value"):
            sensitivities = calibrate(trainer, module, options.examples, seed=seed).sensitivities
    sort_(module.model, sensitivities)
    with torch.no_grad():
        for pair, lora_A in untrained:
            pair.lora_A.copy_(lora_A)
    steps = order_steps(options, trainer.estimated_stepping_batches) if options.sort_by == "learned" else 0
    if steps:
        rank_zero_info(f"Learning the order of the adapter's components on {steps} training batches")
        with _without_memory(trainer, "its order stays as far as it was learned"):
            learn_order(trainer, module, steps, seed)
    if trainer.world_size > 1:  # kernels may round differently in each process
        for pair in pairs:
            dist.broadcast(pair.lora_A.data, 0)
            dist.broadcast(pair.lora_B.data, 0)


@contextmanager
def _without_memory(trainer: Trainer, then: str) -> Iterator[None]:
    """Go on where a device runs out of memory, with what was trained; several processes would wait for one another.

    The model is at rest meanwhile, where transformers does not checkpoint activations, so that this can need more
    memory than training.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        if trainer.world_size > 1:
            raise
        rank_zero_info(f"Out of memory while the adapter is sorted: {then}; the largest rank is what was trained")


def order_steps(options: SortAndPolish, total_steps: float) -> int:
    """How many batches the order is learned on: of a short training a quarter of its steps.

    >>> order_steps(SortAndPolish(), 10_000), order_steps(SortAndPolish(), 40)
    (100, 10)
    """
    return int(min(options.order_steps, total_steps * _LARGEST_SHARE))


def _check_length(trainer: Trainer, sort_by: SortBy) -> None:
    """Refuse a stream: what is drawn from it would be missing in the training that goes on."""
    dataset = getattr(trainer.train_dataloader, "dataset", None)
    if dataset is None or isinstance(dataset, IterableDataset):
        allowed = "svd for training data without a length"
        raise InputError("rank_sampling.polish.sort_by", allowed, sort_by, "set it to svd")
