"""How often the intervals cover the truth and how often the chosen rank is wrong, on outcomes whose truth is known.

    python benchmarks/choice_coverage.py
    python benchmarks/choice_coverage.py --quick

Outcomes of 8 ranks on the same examples, correlated over the ranks. Covered: the metric at each rank (mean over the
ranks), the paired difference to rank 8 (likewise), and all differences to the best rank at once. Wrong: the chosen
rank is worse than the best by more than the tolerance, and said to be certain; and the same of whatever rank is
returned, where the data cannot tell too. Shares are of all draws. Exit status 1 if an interval covers less often, or a
certain choice is wrong more often, than 95 and 5 % and chance allow.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.special import ndtr

from dylora.rank_curve.choice import choose
from dylora.rank_curve.intervals import Bootstrap, Interval, bootstrap, differences, differences_to_best, intervals
from dylora.rank_curve.outcome_metrics import classification_outcomes, regression_outcomes
from dylora.rank_curve.outcomes import Outcomes

RANKS = tuple(range(1, 9))
CURVES = {  # loss against the best rank, as a multiple of the tolerance
    "rising": np.array([10.0, 5.0, 2.5, 1.3, 0.7, 0.3, 0.0, 0.0]),
    "too bad": np.array([1.05] * 6 + [0.0, 0.0]),  # six ranks that must not be taken, as close as can be
    "one best": np.array([1.05] * 7 + [0.0]),
    "flat": np.zeros(8),
}


@dataclass(frozen=True)
class World:
    """Outcomes of a known truth.

    Attributes:
        truth: (ranks,); the metric over all examples and seeds there could be.
        draw: From a generator and a number of examples to outcomes.
    """

    truth: ndarray
    draw: Callable[[np.random.Generator, int], Outcomes]


def accuracy_world(curve: ndarray, agreement: float, seeds: int) -> World:
    """Accuracy 0.8 at best; whether an example is right has much in common over the ranks (a Gaussian copula)."""
    truth = 0.8 * curve
    spread = 0.01 if seeds > 1 else 0.0  # standard deviation of a training's own accuracy

    def draw(g: np.random.Generator, n: int) -> Outcomes:
        own = truth + spread * (0.7 * g.standard_normal((seeds, 1)) + 0.7 * g.standard_normal((seeds, len(RANKS))))
        return classification_outcomes(
            "accuracy", RANKS, (uniform(g, n, agreement, seeds) < own[..., None]) + 0, one(n)
        )

    return World(truth, draw)


def f1_world(curve: ndarray, agreement: float) -> World:
    """F1 0.8 at best: two thirds are of class 1, and a share q of either class is right."""
    truth = 0.8 * curve
    share = 2 / 3
    # F1 = 2 s q / (2 s q + (1 - s) (1 - q) + s (1 - q)) = 2 s q / (1 + (2 s - 1) q)
    right = truth / (2 * share - (2 * share - 1) * truth)

    def draw(g: np.random.Generator, n: int) -> Outcomes:
        expected = (g.random(n) < share) + 0
        correct = uniform(g, n, agreement, 1) < right[:, None]
        return classification_outcomes("f1", RANKS, np.where(correct, expected, 1 - expected), expected)

    return World(truth, draw)


def correlation_world(metric: str, curve: ndarray, agreement: float) -> World:
    """Pearson 0.8 at best (Spearman accordingly): scores are the target and noise, most of it common to the ranks."""
    pearson = 0.8 * curve
    truth = pearson if metric == "pearson" else 6 / np.pi * np.arcsin(pearson / 2)

    def draw(g: np.random.Generator, n: int) -> Outcomes:
        expected = g.standard_normal(n)
        noise = normal(g, n, agreement, 1)
        predicted = pearson[:, None] * expected + np.sqrt(1 - pearson[:, None] ** 2) * noise
        return regression_outcomes(metric, RANKS, predicted, expected)

    return World(truth, draw)


def normal(g: np.random.Generator, n: int, agreement: float, seeds: int) -> ndarray:
    """(seeds, ranks, n); standard normal, correlated over ranks and seeds."""
    common = g.standard_normal(n)
    return np.sqrt(agreement) * common + np.sqrt(1 - agreement) * g.standard_normal((seeds, len(RANKS), n))


def uniform(g: np.random.Generator, n: int, agreement: float, seeds: int) -> ndarray:
    """(seeds, ranks, n); uniform, with the dependence of `normal`."""
    return np.asarray(ndtr(normal(g, n, agreement, seeds)))


def one(n: int) -> ndarray:
    """The class that counts as right."""
    return np.ones(n, dtype=np.int64)


Setting = tuple[str, str, int, float, float, int]  # metric, curve, seeds, correlation over ranks, tolerance, examples


def settings() -> Iterator[Setting]:
    """What is simulated."""
    for curve in CURVES:
        yield "accuracy", curve, 1, 0.9, 0.01, 300
        yield "accuracy", curve, 1, 0.95, 0.05, 1000
        yield "accuracy", curve, 1, 0.999, 0.01, 2000
    yield "accuracy", "one best", 1, 0.9999, 0.01, 300  # so alike that hardly any example tells them apart
    for metric in ("f1", "pearson", "spearman"):
        yield metric, "too bad", 1, 0.95, 0.05, 300
        yield metric, "one best", 1, 0.99, 0.02, 2000
    for seeds in (3, 5):
        yield "accuracy", "rising", seeds, 0.95, 0.02, 300
        yield "accuracy", "one best", seeds, 0.95, 0.05, 2000


def world_of(metric: str, curve: str, seeds: int, agreement: float, tolerance: float) -> World:
    """The world of a setting."""
    share = 1 - tolerance * CURVES[curve]
    if metric == "accuracy":
        return accuracy_world(share, agreement, seeds)
    return f1_world(share, agreement) if metric == "f1" else correlation_world(metric, share, agreement)


def to_last(result: Bootstrap) -> dict[int, Interval]:
    """Each rank's difference to the last one, which is fixed beforehand."""
    *others, last = RANKS
    return dict(zip(others, differences(result, others, [last] * len(others)), strict=True))


def covered(found: dict[int, Interval], truth: ndarray) -> list[bool]:
    """Of each rank, whether the truth lies inside."""
    return [each.low <= value <= each.high for each, value in zip(found.values(), truth, strict=True)]


def measure(setting: Setting, draws: int, resamples: int, seed: int) -> list[float]:
    """Shares, 0..1: the three kinds of interval that cover, certain, wrong, returned wrongly."""
    g = np.random.default_rng(seed)
    *_, tolerance, n = setting
    world = world_of(*setting[:5])
    bad = world.truth < world.truth.max() * (1 - tolerance) - 1e-12
    rows = []
    for draw in range(draws):
        result = bootstrap(world.draw(g, n), resamples, seed=draw)
        choice = choose(result, tolerance)
        best = world.truth[choice.best_rank - 1]
        is_bad = bool(bad[choice.rank - 1])
        rows.append(
            (
                np.mean(covered(intervals(result), world.truth)),
                np.mean(covered(to_last(result), world.truth[:-1] - world.truth[-1])),
                all(covered(differences_to_best(result, choice.best_rank), world.truth - best)),
                choice.certain,
                choice.certain and is_bad,
                is_bad,
            )
        )
    return np.asarray(rows, dtype=float).mean(0).tolist()


def main() -> None:
    """Parse the command line, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="simulated data sets of a row (default: 1000)")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (default: 0)")
    parser.add_argument("--quick", action="store_true", help="100 draws and 300 resamples")
    options = parser.parse_args()
    draws, resamples = (100, 300) if options.quick else (options.draws, options.resamples)
    print(f"{draws} draws, {resamples} resamples, seed {options.seed}; per cent\n")
    head = (
        "metric",
        "curve",
        "seeds",
        "corr.",
        "tol.",
        "n",
        "value",
        "diff.",
        "all diffs",
        "certain",
        "wrong",
        "ret. wrong",
    )
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    failed = 0
    for setting in settings():
        shares = measure(setting, draws, resamples, options.seed)
        cells = [*map(str, setting), *(f"{100 * share:.1f}" for share in shares)]
        print(f"| {' | '.join(cells)} |", flush=True)
        failed += not as_promised(shares, draws)
    if failed:
        sys.exit(f"{failed} rows are off by more than chance")


def as_promised(shares: list[float], draws: int) -> bool:
    """Whether coverage is 95 % and more, and wrong choices 5 % and fewer, give or take 3.5 standard errors."""
    value, difference, together, _, wrong, _ = shares
    chance = 3.5 * (0.95 * 0.05 / draws) ** 0.5
    return min(value, difference, together) >= 0.95 - chance and wrong <= 0.05 + chance


if __name__ == "__main__":
    main()
