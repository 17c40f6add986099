"""A rank for every row of a batch, stratified over the law: the summation loss at the price of one forward.

A row's rank is a pure function of (seed, optimizer step, the row's place in the global batch), so that neither the
number of processes nor that of accumulated micro-batches changes it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dylora.adapters.ranks import RankRange

_BITS = 32


def mixed_ranks(
    ranks: RankRange, probabilities: Sequence[float], seed: int, step: int, places: Tensor, half_batch: bool = False
) -> Tensor:
    """The ranks of some rows of an optimizer step's global batch.

    Each row's rank follows the law, whatever its place, so that the mean loss over the rows has the expected gradient
    of the summation loss. With `half_batch` every second place is at `max_rank`, and the others are stratified; which
    of the two halves is drawn for each step.

    Args:
        ranks: The ranks to draw from.
        probabilities: One number a rank, summing to 1.
        seed: The run's seed, 0 or larger.
        step: Number of the optimizer step, from 0.
        places: (rows,), the rows' places in the global batch, from 0.
        half_batch: Whether every second row is at `max_rank`.

    Returns:
        (rows,), ranks of the range; a LongTensor on the CPU.

    >>> mixed_ranks(RankRange(1, 8), [1 / 8] * 8, seed=10, step=0, places=torch.arange(8)).sort().values
    tensor([1, 2, 3, 4, 5, 6, 7, 8])
    """
    # Another counter than that of `rank_at`, so that the two sequences share nothing.
    shift, half = np.random.Generator(np.random.Philox(key=seed, counter=[0, step, 1, 0])).random(2)
    if not half_batch:
        return stratified_ranks(ranks, probabilities, places, float(shift))
    own = stratified_ranks(ranks, probabilities, places // 2, float(shift))
    return torch.where(places % 2 == int(half < 0.5), own, ranks.max_rank)


def stratified_ranks(ranks: RankRange, probabilities: Sequence[float], places: Tensor, shift: float) -> Tensor:
    """Ranks by the law's inverse at the points `van_der_corput(place) + shift`, modulo 1.

    Any `2^k` places that follow a multiple of `2^k` have one point in each of `2^k` equal parts of [0, 1): a rank of
    probability p occurs there `2^k p` times, rounded up or down; one that is a whole number of parts exactly so often.

    Args:
        ranks: The ranks to draw from.
        probabilities: One number a rank, summing to 1.
        places: (rows,), from 0.
        shift: In [0, 1), the same for all rows of a step. Uniform, it makes each row follow the law.

    Returns:
        (rows,), a LongTensor.
    """
    points = (van_der_corput(places) + shift) % 1.0
    bounds = torch.tensor(probabilities, dtype=torch.float64).cumsum(0)
    last = max(i for i, p in enumerate(probabilities) if p > 0)  # rounding must not lead past the last possible one
    index = torch.searchsorted(bounds, points, right=True).clamp(max=last)
    return torch.tensor(tuple(ranks))[index]


def van_der_corput(places: Tensor) -> Tensor:
    """The binary digits of each number, mirrored at the point: 0, 1/2, 1/4, 3/4, 1/8 and so on.

    Args:
        places: (rows,), whole numbers from 0 up to 2^32.

    >>> van_der_corput(torch.arange(4)).tolist()
    [0.0, 0.5, 0.25, 0.75]
    """
    rest, mirrored = places.long(), torch.zeros(places.shape, dtype=torch.float64)
    for digit in range(1, _BITS + 1):
        mirrored += (rest % 2).double() * 0.5**digit
        rest = rest // 2
    return mirrored
