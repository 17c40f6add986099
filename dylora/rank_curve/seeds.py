"""What several training seeds add to the noise of the examples: the error of their mean, as so few of them show it."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_ROUNDING = 1e-10  # share of the largest variance


def common_deviations(deviations: Float[ndarray, "resamples seeds ranks"]) -> Float[ndarray, "resamples ranks"]:
    """The mean over the seeds of what resampling moves, made as small as what it moves in all of them alike.

    With V the covariance of the mean over the S seeds, N that between the seeds within a resample, and K = V - N / S
    the mean covariance of two different seeds, it is the mean times the matrix that turns V into K (floored at 0):
    `V^½ (V^-½ K V^-½)^½ V^-½`.
    """
    mean = deviations.mean(1)
    resamples, seeds, _ = deviations.shape
    own = (deviations - mean[:, None]).reshape(resamples * seeds, -1)
    covariance = mean.T @ mean / resamples
    common = covariance - own.T @ own / (resamples * (seeds - 1) * seeds)
    sizes, axes = np.linalg.eigh(covariance)
    kept = sizes > _ROUNDING * sizes[-1]
    axes, root = axes[:, kept], np.sqrt(sizes[kept])
    shares, turn = np.linalg.eigh((axes.T @ common @ axes) / np.outer(root, root))
    shrink = (turn * np.sqrt(np.clip(shares, 0.0, 1.0))) @ turn.T
    return np.asarray(((mean @ axes / root) @ shrink * root) @ axes.T)


def seed_error(
    of_seeds: Float[ndarray, "seeds ranks"], resamples: int, generator: np.random.Generator
) -> Float[ndarray, "resamples ranks"]:
    """Draws of the error of the mean over the seeds, the examples' noise of each seed included."""
    seeds = len(of_seeds)
    centred = (of_seeds - of_seeds.mean(0)) / np.sqrt(seeds * (seeds - 1))
    normal = generator.standard_normal((resamples, seeds)) @ centred
    return np.asarray(normal * np.sqrt((seeds - 1) / generator.chisquare(seeds - 1, size=(resamples, 1))))


def simultaneous(
    common: Float[ndarray, "resamples ranks"], of_seeds: Float[ndarray, "seeds ranks"], generator: np.random.Generator
) -> tuple[Float[ndarray, " resamples"], Float[ndarray, "ranks ranks"]]:
    """What intervals of all differences between ranks need to hold together.

    The spread of a difference over S seeds is known with S - 1 degrees of freedom, and that of another difference is
    not known by it. So the seeds are drawn anew in each resample, normal and independent at each rank (of the mean
    variance that they have around their mean over the ranks), and so is each difference's size.

    Args:
        common: What `common_deviations` gives.
        of_seeds: The metric of each seed at each rank.
        generator: Of random numbers.

    Returns:
        In each resample the largest deviation of a difference, divided by its size there; and the sizes, standard
        deviations, of the differences as they were measured.
    """
    resamples, ranks = common.shape
    seeds = len(of_seeds)
    shape = of_seeds - of_seeds.mean(1, keepdims=True)
    spread = (shape - shape.mean(0)).var(0).sum() * seeds / (seeds - 1) / max(1, ranks - 1)
    drawn = generator.standard_normal((resamples, seeds, ranks)) * np.sqrt(spread)
    deviations = common + drawn.mean(1)
    largest, sizes = np.zeros(resamples), np.zeros((ranks, ranks))
    for i in range(ranks - 1):
        of_examples = (common[:, i + 1 :] - common[:, [i]]).var(0)
        size = _size(of_examples, drawn[..., i + 1 :] - drawn[..., [i]])
        paired = np.abs(deviations[:, i + 1 :] - deviations[:, [i]])
        largest = np.maximum(largest, np.divide(paired, size, out=np.zeros_like(paired), where=size > 0).max(1))
        sizes[i, i + 1 :] = sizes[i + 1 :, i] = _size(of_examples, of_seeds[:, i + 1 :] - of_seeds[:, [i]])
    return largest, sizes


def _size(of_examples: Float[ndarray, " pairs"], of_seeds: Float[ndarray, "*any seeds pairs"]) -> ndarray:
    """The standard deviation of differences, from the examples' variance and the seeds', whose mean is taken."""
    return np.asarray(np.sqrt(of_examples + of_seeds.var(-2, ddof=1) / of_seeds.shape[-2]))
