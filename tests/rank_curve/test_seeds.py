"""What several seeds add to the examples' noise, against covariances and the t distribution."""

import numpy as np
import pytest
from scipy import stats

from dylora.rank_curve.intervals import bootstrap, differences_to_best, intervals
from dylora.rank_curve.outcome_metrics import classification_outcomes
from dylora.rank_curve.seeds import common_deviations, simultaneous


def test_what_is_left_of_the_examples_noise_is_what_the_seeds_share():
    """Its covariance is the mean covariance of two different seeds."""
    generator, seeds = np.random.default_rng(0), 3
    mixing = generator.standard_normal((4, 4))
    shared = generator.standard_normal((5000, 1, 4)) @ mixing
    deviations = shared + generator.standard_normal((5000, seeds, 4))
    found = common_deviations(deviations)
    others = [(a, b) for a in range(seeds) for b in range(seeds) if a != b]
    expected = np.mean([deviations[:, a].T @ deviations[:, b] / 5000 for a, b in others], axis=0)
    np.testing.assert_allclose(found.T @ found / 5000, (expected + expected.T) / 2, rtol=1e-6, atol=1e-8)


def test_alike_seeds_share_all_and_opposite_seeds_nothing():
    deviations = np.random.default_rng(0).standard_normal((500, 1, 3))
    np.testing.assert_allclose(common_deviations(np.repeat(deviations, 3, 1)), deviations[:, 0])
    assert np.abs(common_deviations(np.concatenate([deviations, -deviations], 1))).max() == 0


def test_noise_that_each_seed_has_for_itself_counts_once():
    """Three seeds right on independent examples: their spread alone, with 2 degrees of freedom, is the interval."""
    i = np.arange(1000)
    right = np.stack([(i // 10**place % 10 < 7).astype(int) for place in range(3)])[:, None]
    right[1, 0, np.flatnonzero(right[1, 0] == 0)[:50:10]] = 1
    right[2, 0, np.flatnonzero(right[2, 0] == 0)[:100:10]] = 1
    found = intervals(bootstrap(classification_outcomes("accuracy", [1], right, np.ones(1000, dtype=int)), 20_000))[1]
    half = stats.t.ppf(0.975, 2) * 0.005 / 3**0.5  # accuracies 0.7, 0.705, 0.71
    assert (found.value, found.high - found.low) == (pytest.approx(0.705), pytest.approx(2 * half, rel=0.06))


def test_of_seeds_without_spread_the_largest_difference_is_the_studentised_range():
    common = np.random.default_rng(0).standard_normal((20_000, 5))
    largest, size = simultaneous(common, np.full((3, 5), 0.8), np.random.default_rng(1))
    expected = stats.studentized_range.ppf(0.95, 5, np.inf) / 2**0.5
    assert np.quantile(largest, 0.95) == pytest.approx(expected, rel=0.02)
    assert size[0, 1] == pytest.approx(2**0.5, rel=0.02)


@pytest.mark.slow
def test_all_differences_hold_together_where_the_seeds_spread_is_most_of_the_noise():
    """Four equal ranks, each seed at random accuracies: 300 draws, within what so few can show."""
    generator, n, count = np.random.default_rng(0), 400, 0
    for draw in range(300):
        own = 0.8 + 0.03 * generator.standard_normal((3, 4, 1))
        right = (generator.random(n) < own).astype(int)
        result = bootstrap(classification_outcomes("accuracy", range(1, 5), right, np.ones(n, dtype=int)), 300, draw)
        best = 1 + int(np.argmax(result.values))
        count += all(each.low <= 0 <= each.high for each in differences_to_best(result, best).values())
    assert count / 300 >= 0.92
