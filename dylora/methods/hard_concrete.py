"""Gates that are exactly 0 or 1 with positive probability and still have gradients (Louizos, Welling, Kingma 2018).

With `u` uniform on (0, 1), `s = sigmoid((log u - log(1 - u) + log_alpha) / beta)` and `g = clamp(s (zeta - gamma) +
gamma, 0, 1)`; beta 2/3, gamma -0.1 and zeta 1.1 are those of that paper.
"""

import math

import torch
from torch import Tensor

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1


def sample_gates(log_alpha: Tensor) -> Tensor:
    """Gates in [0, 1], drawn from torch's generator; gradients reach `log_alpha` where a gate is neither 0 nor 1."""
    tiny = torch.finfo(log_alpha.dtype).eps
    uniform = torch.rand_like(log_alpha).clamp(tiny, 1 - tiny)
    return _stretched(torch.sigmoid((torch.logit(uniform) + log_alpha) / BETA))


def fixed_gates(log_alpha: Tensor) -> Tensor:
    """The gates of a model that is evaluated, without chance: `clamp(sigmoid(log_alpha) (zeta - gamma) + gamma)`."""
    return _stretched(torch.sigmoid(log_alpha))


def open_probability(log_alpha: Tensor) -> Tensor:
    """`P(g > 0) = sigmoid(log_alpha - beta log(-gamma / zeta))` of a sampled gate."""
    return torch.sigmoid(log_alpha - BETA * math.log(-GAMMA / ZETA))


def _stretched(s: Tensor) -> Tensor:
    return (s * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
