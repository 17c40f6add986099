"""Quantiles of Student's t distribution, for any number of degrees of freedom; scipy is needed by the tests alone."""

from functools import lru_cache

import numpy as np

_POINTS = 100_001
_MOST_DEGREES = 1e6  # from here on it is the normal distribution, to six digits


@lru_cache(maxsize=4096)
def t_quantile(probability: float, degrees: float) -> float:
    """The value that a t variable stays below with a probability.

    With x = sqrt(n) tan θ the density of θ is proportional to cos(θ)^(n - 1), on a finite range and without a pole, so
    that the trapezoidal rule gives six digits.

    Args:
        probability: Between 0.5 and 1.
        degrees: Degrees of freedom n, 1 or more; need not be whole.

    >>> round(t_quantile(0.975, 2), 4), round(t_quantile(0.975, 1e9), 4)
    (4.3027, 1.96)
    """
    assert 0.5 <= probability < 1 <= degrees
    degrees = min(degrees, _MOST_DEGREES)
    angles = np.linspace(0, min(np.pi / 2, 40 / np.sqrt(degrees)), _POINTS)
    density = np.cos(angles) ** (degrees - 1)
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = np.interp(2 * probability - 1, below / below[-1], angles)
    return float(np.sqrt(degrees) * np.tan(angle))
