"""Train the basis of an adapter's components, so that its lower ranks are as good as they can be.

The function at `max_rank` stays as it is whatever the basis (`dylora.adapters.basis`), so only the lower ranks are
trained, for their own loss and in all layers together. Sorting by singular value and the two-sided cut choose each
layer's basis by an approximation of that loss; they are where this begins.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import rank_state, use_rank
from dylora.adapters.at_rest import at_rest
from dylora.adapters.basis import acting, basis_gradient, rebased
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.mixed_ranks import mixed_ranks
from dylora.adapters.sensitivity import rows_in
from dylora.adapters.sorting import named_factors
from dylora.errors import InputError

LEARNING_RATE = 0.01
"""Of Adam, falling linearly to zero: chosen on held-out training rows (docs/results.md)."""

STEPS = 100
"""As many batches as paid; more were not found to be worth it (docs/log.md)."""

_BETAS = (0.9, 0.99)

LossOf = Callable[[Any], Tensor]
"""Runs the model on a batch at the active ranks and gives its loss, (), of any scale: summed over the rows, say."""

AddUp = Callable[[Tensor], Any]


def learn_order_(
    model: nn.Module,
    batches: Iterable[Any],
    loss_of: LossOf,
    *,
    steps: int,
    rows_of: Callable[[Any], int] = rows_in,
    rank_per_row: bool = True,
    seed: int = 0,
    processes: tuple[int, int] = (1, 0),
    add_up: AddUp = lambda _: None,
) -> None:
    """Train the basis of every pair of factors for the loss of the ranks below `max_rank`, in place.

    Every row of a batch is at a rank of its own, all of them equally often. The model is in evaluation mode meanwhile
    (no dropout, BatchNorm at rest), nothing but the factors changes, and their product stays to rounding. Rank, modes
    and random state are the ones before at the end, after an error too.

    Args:
        model: An adapted model, not merged, of scaling `alpha/max_rank` and best sorted already.
        batches: Training batches, one a step; as many in every process.
        loss_of: Gives the loss of a batch.
        steps: How many there are.
        rows_of: Gives the number of rows of a batch; of a mapping that of its first tensor.
        rank_per_row: False for a model whose rows cannot be at ranks of their own: a step is at one rank then.
        seed: Of the ranks.
        processes: Number of the processes, and the place of this one.
        add_up: Sums a tensor over all processes, in place.

    Raises:
        InputError: If the model is merged, or has another scaling.
    """
    config = rank_state(model).config
    pairs, ranks = list(named_factors(model).values()), config.ranks
    if config.scaling != "alpha/max_rank":
        fix = "call sort_(model) first, which sets it"
        raise InputError("scaling", "alpha/max_rank where an order is learned", config.scaling, fix)
    if len(ranks) == 1 or steps < 1:
        return
    law = [1 / (len(ranks) - 1)] * (len(ranks) - 1) + [0.0]
    parameters = [parameter for pair in pairs for parameter in (pair.lora_A, pair.lora_B)]
    bases = _Bases(pairs, acting(ranks))
    count, place = processes
    with at_rest(model, parameters):
        for step, batch in enumerate(batches):
            places = torch.arange(rows_of(batch)) * count + place if rank_per_row else torch.tensor([step])
            drawn = mixed_ranks(ranks, law, seed, step if rank_per_row else 0, places)
            with use_rank(model, drawn if rank_per_row else int(drawn)):
                gradients = torch.autograd.grad(loss_of(batch), parameters, allow_unused=True)
            bases.step(gradients, LEARNING_RATE * (1 - step / steps), add_up)


@dataclass
class _Bases:
    """The basis of every pair, from where it began, with Adam's moments; stacked, (pairs, max_rank, max_rank)."""

    pairs: list[LowRankFactors]
    acting: Tensor
    steps: int = 0
    start: list[tuple[Tensor, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.acting)
        self.bases = torch.eye(size, dtype=torch.float64).repeat(len(self.pairs), 1, 1)
        self.mean, self.square = torch.zeros_like(self.bases), torch.zeros_like(self.bases)
        self.start = [(_wide(pair.lora_A), _wide(pair.lora_B)) for pair in self.pairs]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], learning_rate: float, add_up: AddUp) -> None:
        """One step of Adam in X, and of the bases by `exp(X)`; none where a gradient is not finite."""
        of_pairs = zip(self.pairs, gradients[::2], gradients[1::2], strict=True)
        device = self.pairs[0].lora_A.device  # layers may be spread over several
        found = torch.stack([_gradient_of(*each).to(device) for each in of_pairs])
        add_up(found)
        gradient = found.cpu().double() * self.acting
        if not gradient.isfinite().all():
            return
        self.steps += 1
        (first, second), t = _BETAS, self.steps
        self.mean = torch.lerp(gradient, self.mean, first)
        self.square = torch.lerp(gradient.square(), self.square, second)
        root = (self.square / (1 - second**t)).sqrt()
        change = (self.mean / (1 - first**t)) / torch.where(root > 0, root, 1.0)
        self.bases = torch.linalg.matrix_exp(-learning_rate * change) @ self.bases
        for pair, basis, (lora_A, lora_B) in zip(self.pairs, self.bases, self.start, strict=True):
            new_A, new_B = rebased(lora_A, lora_B, basis.to(lora_A))
            pair.lora_A.copy_(new_A)
            pair.lora_B.copy_(new_B)


def _gradient_of(pair: LowRankFactors, grad_A: Tensor | None, grad_B: Tensor | None) -> Tensor:
    """(max_rank, max_rank); zeros for a layer that the loss does not reach."""
    if grad_A is None or grad_B is None:
        return pair.lora_A.new_zeros(len(pair.lora_A), len(pair.lora_A))
    return basis_gradient(pair.lora_A, pair.lora_B, grad_A, grad_B)


def _wide(parameter: Tensor) -> Tensor:
    """In fp64, for which a device without it hands over to the CPU."""
    return parameter.detach().to("cpu" if parameter.device.type == "mps" else parameter.device, torch.float64)
