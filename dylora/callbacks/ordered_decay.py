"""The options of ordered decay, and the scale of the task's loss that it is relative to."""

import math
from dataclasses import dataclass
from typing import get_args

from dylora.adapters.ordered_decay import Rise
from dylora.errors import InputError

_STEPS = 10


@dataclass(frozen=True)
class OrderedDecay:
    """A decay that rises with the row, so that lower ranks keep more of the largest one.

    Attributes:
        in_loss: Lambda of `lambda * scale * sum of rise(j) (|A_j|^2 + |B_:j|^2)` in the loss, 0 or larger; about 1e-3
            was tried. The scale is the task's mean loss over the first 10 optimizer steps.
        decoupled: Omega, 0 or larger: after each optimizer step row j is multiplied by `1 - lr * omega * rise(j)`; 0.3
            was tried. Unlike `in_loss` it passes by the optimizer's moments.
        shape: How it rises with the row j: `linear` (j - 1), `sqrt`, `log` (log j) or `quadratic`.

    Raises:
        InputError: If a number is negative or the shape is another.
    """

    in_loss: float = 0.0
    decoupled: float = 0.0
    shape: Rise = "linear"

    def __post_init__(self) -> None:
        for name in ("in_loss", "decoupled"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"rank_sampling.ordered_decay.{name}", "0 or more", value, "0 switches it off")
        if self.shape not in get_args(Rise):
            allowed = "one of " + ", ".join(get_args(Rise))
            raise InputError("rank_sampling.ordered_decay.shape", allowed, repr(self.shape), "choose one of them")


class LossScale:
    """The mean of the task's loss over the first 10 optimizer steps of a run; of those before, while they last.

    A pure function of the losses before a step, so all micro-batches of a step use one value, and the first step 0.

    Attributes:
        value: The scale of the current step.
    """

    def __init__(self) -> None:
        self.total, self.count, self.value = 0.0, 0, 0.0

    def begin_step(self) -> None:
        """Take in the steps before."""
        self.value = self.total / max(1, self.count)

    def wants(self, step: int) -> bool:
        """Whether the losses of a step, from 0, count."""
        return step < _STEPS

    def add(self, loss: float) -> None:
        """Count the loss of a batch, the mean over all processes; one that is not finite is left out."""
        if math.isfinite(loss):
            self.total += loss
            self.count += 1
