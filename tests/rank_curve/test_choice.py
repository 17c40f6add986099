"""The chosen rank on outcomes where it is clear what must be chosen, and its errors on simulated ones."""

import numpy as np
import pytest
from scipy import stats

from dylora.errors import InputError
from dylora.rank_curve.choice import choose
from dylora.rank_curve.intervals import bootstrap
from dylora.rank_curve.outcome_metrics import classification_outcomes, token_outcomes


def nested(*right, n=2000):
    """Accuracy where a rank has right all that a worse one has: `right` of n at ranks 1, 2, ..."""
    predicted = np.array([[np.arange(n) < count for count in right]]).astype(int)
    return bootstrap(classification_outcomes("accuracy", range(1, len(right) + 1), predicted, np.ones(n, dtype=int)))


def test_the_smallest_rank_that_is_surely_within_the_tolerance():
    # Of 1600: 16 are tolerated; 10 behind may be 16 behind (three standard errors of a count of 10 are 10), 3 may not.
    choice = choose(nested(1400, 1590, 1597, 1600), tolerance=0.01)
    assert (choice.rank, choice.certain, choice.best_rank) == (3, True, 4)
    assert [choice.evidence[rank].verdict for rank in (1, 2, 3, 4)] == ["worse", "unclear", "within", "within"]
    assert choice.statement.startswith("Rank 3 is the smallest rank that is within 0.01 (relative) of the best rank")


def test_a_larger_tolerance_gives_a_smaller_rank():
    assert choose(nested(1400, 1590, 1597, 1600), tolerance=0.02).rank == 2


def test_the_difference_is_to_the_best_rank_and_paired():
    evidence = choose(nested(1400, 1590, 1597, 1600)).evidence
    difference = evidence[1].difference
    assert difference.value == pytest.approx(-0.1)
    assert -0.125 < difference.low < -0.112  # unpaired it would reach -0.14
    assert -0.088 < difference.high < -0.075
    assert (evidence[4].difference.low, evidence[4].difference.high) == (0, 0)


def test_too_few_examples_cannot_tell_and_the_largest_possible_rank_is_kept():
    generator = np.random.default_rng(0)
    predicted = (generator.random((1, 4, 100)) < 0.8).astype(int)
    outcomes = classification_outcomes("accuracy", range(1, 5), predicted, np.ones(100, dtype=int))
    choice = choose(bootstrap(outcomes))
    assert (choice.rank, choice.certain) == (4, False)
    assert choice.statement.startswith("The data cannot tell")


def test_a_largest_rank_that_is_shown_to_be_worse_is_not_kept():
    choice = choose(nested(1500, 1600, 1590, 1000), tolerance=0)
    assert (choice.rank, choice.best_rank) == (2, 2)
    assert choice.evidence[4].verdict == "worse"


def test_no_disagreement_in_a_hundred_examples_does_not_show_one_percent():
    assert choose(nested(80, 80, n=100), tolerance=0.01).evidence[1].verdict == "unclear"
    assert choose(nested(1600, 1600), tolerance=0.01).rank == 1


def test_lower_is_better():
    generator = np.random.default_rng(0)
    loss = 20 * generator.random(500)
    rows = np.stack([np.stack([loss + extra, 0 * loss, 10 + 0 * loss], -1) for extra in (1.0, 0.05, 0.0)])[None]
    choice = choose(bootstrap(token_outcomes("perplexity", [1, 2, 4], rows)), 0.01, higher_is_better=False)
    assert (choice.rank, choice.best_rank, choice.certain) == (2, 4, True)


@pytest.mark.slow
def test_a_rank_worse_by_more_than_the_tolerance_is_taken_in_five_percent_at_most():
    """Six ranks as little too bad as can be, 400 draws: a wrong choice in 5 % and what chance adds to it (3 sd)."""
    generator, n, tolerance = np.random.default_rng(1), 500, 0.05
    truth = 0.8 * (1 - tolerance * np.array([1.02] * 6 + [0.0, 0.0]))
    wrong = certain = 0
    for draw in range(400):
        u = 0.98**0.5 * generator.standard_normal(n) + 0.02**0.5 * generator.standard_normal((8, n))
        predicted = (stats.norm.cdf(u) < truth[:, None]).astype(int)[None]
        outcomes = classification_outcomes("accuracy", range(1, 9), predicted, np.ones(n, dtype=int))
        choice = choose(bootstrap(outcomes, 300, seed=draw), tolerance)
        certain += choice.certain
        wrong += choice.certain and truth[choice.rank - 1] < truth.max() * (1 - tolerance)
    assert certain > 200
    assert 0 < wrong / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_bad_use():
    result = nested(1500, 1600)
    with pytest.raises(InputError, match="tolerance: must be 0 or more, got -1"):
        choose(result, -1)
    with pytest.raises(InputError, match="confidence: must be between 0 and 1, got 95"):
        choose(result, confidence=95)
    rows = np.array([[[[3000.0, 0, 2], [3000.0, 0, 2]], [[1.0, 0, 2], [2.0, 0, 2]]]])
    infinite = bootstrap(token_outcomes("perplexity", [1, 2], rows), 100)
    with pytest.raises(InputError, match=r"outcomes: must be finite at every rank, got others at \[1\]"):
        choose(infinite, higher_is_better=False)
