"""Bootstrap intervals against normal theory, scipy, and the truth of simulated outcomes."""

import numpy as np
import pytest
from scipy import stats

from dylora.errors import InputError
from dylora.rank_curve.intervals import bootstrap, differences, differences_to_best, intervals
from dylora.rank_curve.outcome_metrics import classification_outcomes, regression_outcomes


def accuracy(right):
    """Outcomes of accuracy from (seeds, ranks, examples) of 0 and 1."""
    right = np.asarray(right)
    return classification_outcomes("accuracy", range(1, right.shape[1] + 1), right, np.ones(right.shape[2], dtype=int))


def rows(*groups):
    """A row of zeros and ones: `(count, value)` after `(count, value)`."""
    return np.concatenate([np.full(count, value) for count, value in groups])


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    result = bootstrap(accuracy([[rows((800, 1), (200, 0))]]), resamples=20_000)
    found = intervals(result)[1]
    half = 1.96 * (0.8 * 0.2 / 1000) ** 0.5
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.8 - half, 0.8 + half), abs=1e-3)


def test_the_paired_difference_is_that_of_the_disagreements_alone():
    # 40 examples that only rank 1 has right and 20 that only rank 2 has: variance (60 - 20²/1000) / 1000².
    first = rows((700, 1), (40, 1), (20, 0), (240, 0))
    second = rows((700, 1), (40, 0), (20, 1), (240, 0))
    result = bootstrap(accuracy([[first, second]]), resamples=20_000)
    same, found = differences(result, [1, 2], [1, 1])
    half = 1.96 * (60 - 0.4) ** 0.5 / 1000
    assert (found.low, found.high) == pytest.approx((-0.02 - half, -0.02 + half), abs=1.1e-3)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_interval_of_a_correlation_is_scipys_percentile_interval():
    generator = np.random.default_rng(0)
    y = generator.normal(size=200)
    x = y + generator.normal(size=200)
    found = intervals(bootstrap(regression_outcomes("pearson", [1], x[None, None], y), resamples=20_000))[1]
    expected = stats.bootstrap(
        (x, y),
        lambda x, y, axis: stats.pearsonr(x, y, axis=axis)[0],
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        random_state=generator,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=4e-3)


def test_the_same_seed_gives_the_same_figures_in_blocks_too(monkeypatch):
    outcomes = accuracy([[rows((30, 1), (20, 0)), rows((20, 1), (30, 0))]])
    first, again, other = (bootstrap(outcomes, 200, seed).draws for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    monkeypatch.setattr("dylora.rank_curve.intervals._BLOCK", 150)
    np.testing.assert_allclose(bootstrap(outcomes, 200, 1).draws, first)


def test_two_seeds_of_the_same_outcomes_are_as_one():
    one = rows((40, 1), (10, 0))
    single, double = bootstrap(accuracy([[one]]), 500), bootstrap(accuracy([[one], [one]]), 500)
    np.testing.assert_allclose(single.draws, double.draws)


def test_the_spread_of_the_seeds_has_the_heavy_tails_of_so_few():
    # So many alike examples that they add nothing: what is left is t with 2 degrees of freedom.
    right = [[rows((100 * share, 1), (100 * (100 - share), 0))] for share in (70, 80, 90)]
    found = intervals(bootstrap(accuracy(right), resamples=20_000))[1]
    half = stats.t.ppf(0.975, 2) * 0.1 / 3**0.5
    assert (found.value, found.high - found.low) == (pytest.approx(0.8), pytest.approx(2 * half, rel=0.06))


def test_few_disagreements_are_no_certainty():
    """None in 300 bears a difference of 3 in 300, in either direction."""
    same = rows((240, 1), (60, 0))
    result = bootstrap(accuracy([[same, same]]), 200)
    for found in (differences(result, [2], [1])[0], differences_to_best(result, 1)[2]):
        assert (found.low, found.high) == pytest.approx((-0.01, 0.01), rel=1e-2)
    assert differences(result, [1], [1])[0].high == 0


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["accuracy", "pearson"])
def test_intervals_cover_the_truth_as_often_as_they_say(metric):
    """300 draws of 300 examples at 4 correlated ranks; 0.95 within what so few draws can show."""
    generator, n, truth = np.random.default_rng(0), 300, np.array([0.7, 0.77, 0.79, 0.8])
    alone, paired, together = [], [], []
    for draw in range(300):
        noise = 0.95**0.5 * generator.standard_normal(n) + 0.05**0.5 * generator.standard_normal((4, n))
        if metric == "accuracy":
            outcomes = accuracy([(stats.norm.cdf(noise) < truth[:, None]).astype(int)])
        else:
            y = generator.standard_normal(n)
            x = truth[:, None] * y + (1 - truth[:, None] ** 2) ** 0.5 * noise
            outcomes = regression_outcomes("pearson", range(1, 5), x[None], y)
        result = bootstrap(outcomes, 400, seed=draw)
        best = 1 + int(np.argmax(result.values))
        alone += [i.low <= t <= i.high for i, t in zip(intervals(result).values(), truth, strict=True)]
        pairs = zip(differences(result, [1, 2, 3], [4] * 3), truth[:3] - truth[3], strict=True)
        paired += [i.low <= t <= i.high for i, t in pairs]
        all_pairs = zip(differences_to_best(result, best).values(), truth - truth[best - 1], strict=True)
        together.append(all(i.low - 1e-12 <= t <= i.high + 1e-12 for i, t in all_pairs))
    assert 0.925 <= np.mean(alone) <= 0.975
    assert 0.925 <= np.mean(paired) <= 0.975
    assert np.mean(together) >= 0.92


def test_bad_use():
    outcomes = accuracy([[rows((3, 1), (2, 0))]])
    with pytest.raises(InputError, match="resamples: must be 100 or more, got 99"):
        bootstrap(outcomes, 99)
