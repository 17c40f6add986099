"""The probability of improvement, by hand and against scipy's Mann-Whitney U."""

import numpy as np
import pytest
from scipy import stats

from dylora.rank_curve.improvement import probability_of_improvement
from dylora.rank_curve.paired import PairedRuns


def column(*values):
    return np.array(values, dtype=float)[:, None]


def test_by_hand_the_mean_over_tasks_of_the_share_of_better_pairs():
    first = PairedRuns(reference=column(1, 2), system=column(1, 3))  # 1/2, 0, 1, 1: 2.5 of 4
    second = PairedRuns(reference=column(5, 6), system=column(1, 2))  # none
    found = probability_of_improvement([first, second])[0]
    assert found.value == pytest.approx((2.5 / 4 + 0) / 2)
    assert found.low <= found.value <= found.high
    assert found.high <= 0.5  # the second task has no better pair, whatever is drawn


def test_on_one_task_it_is_mann_and_whitneys_u():
    generator = np.random.default_rng(0)
    x, y = generator.integers(6, size=(5, 3)).astype(float), generator.integers(6, size=(5, 3)).astype(float)
    expected = [stats.mannwhitneyu(x[:, c], y[:, c]).statistic / 25 for c in range(3)]
    assert [found.value for found in probability_of_improvement([PairedRuns(y, x)])] == pytest.approx(expected)


def test_the_interval_is_that_of_all_equally_likely_draws_of_the_runs():
    # Two runs each, 1 and 3 against 2 and 2: a draw of the system's two has 0, 1 or 2 that are better, 1 : 2 : 1.
    found = probability_of_improvement([PairedRuns(column(2, 2), column(1, 3))], confidence=0.4)[0]
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    found = probability_of_improvement([PairedRuns(column(2, 2), column(1, 3))], confidence=0.6)[0]
    assert (found.low, found.high) == (0.0, 1.0)


def test_examples_are_drawn_with_the_runs():
    redrawn = np.array([1.0, 3.0] * 50).reshape(100, 1, 1)
    runs = PairedRuns(column(2.0), column(3.0), np.full((100, 1, 1), 2.0), redrawn, np.zeros(1), 10)
    found = probability_of_improvement([runs], resamples=100)[0]
    assert (found.value, found.low, found.high) == (1.0, 0.0, 1.0)


def test_a_figure_that_a_run_lacks_gives_none():
    assert np.isnan(probability_of_improvement([PairedRuns(column(1, np.nan), column(1, 2))])[0].value)
