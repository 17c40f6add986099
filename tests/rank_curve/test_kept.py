"""Outcomes that were kept give the metric again, for one seed and for several, and two adapters side by side."""

import numpy as np
import pytest
from scipy import stats

from dylora.errors import InputError
from dylora.rank_curve.compare import compare
from dylora.rank_curve.kept import KeptOutcomes, beside, metric_outcomes


def kept(values, expected, kind="classes", metric="accuracy", ranks=(1, 2), split=None):
    count = values.shape[1]
    split = np.zeros(count, dtype=int) if split is None else split
    return KeptOutcomes(kind, metric, ranks, values, expected, split, np.arange(count))


def one(outcomes):
    return outcomes.values(np.ones((1, outcomes.examples)))[0]


def test_classes_scores_and_tokens_give_their_metric():
    generator = np.random.default_rng(0)
    expected = generator.integers(2, size=50)
    classes = generator.integers(2, size=(2, 50))
    assert one(metric_outcomes([kept(classes, expected)]))[0] == pytest.approx((classes == expected).mean(1))
    scores, truth = generator.random((2, 50)), generator.random(50)
    found = one(metric_outcomes([kept(scores, truth, "scores", "pearson")]))[0]
    assert found == pytest.approx([stats.pearsonr(row, truth).statistic for row in scores])
    rows = np.array([[[4.0, 1, 2], [2.0, 1, 1]], [[1.0, 2, 2], [2.0, 0, 1]]])  # (ranks, examples, 3)
    found = one(metric_outcomes([kept(rows, np.zeros(0), "tokens", "perplexity")]))[0]
    assert found == pytest.approx(np.exp([6 / 3, 3 / 3]))


def test_the_accuracy_of_two_splits_is_the_mean_of_both():
    values, expected = np.array([[1, 1, 0, 0], [1, 1, 1, 1]]), np.ones(4, dtype=int)
    found = one(metric_outcomes([kept(values, expected, split=np.array([0, 1, 1, 1]))]))[0]
    assert found == pytest.approx([(1 + 1 / 3) / 2, 1.0])


def test_runs_on_other_examples_ranks_or_metrics_are_no_seeds_of_one_another():
    values, expected = np.ones((2, 4), dtype=int), np.ones(4, dtype=int)
    first = kept(values, expected)
    for other, words in (
        (kept(values, 1 - expected), "same 4 examples"),
        (kept(values, expected, ranks=(1, 3)), "same ranks"),
        (kept(values, expected, metric="f1"), "one metric"),
    ):
        with pytest.raises(InputError, match=words):
            metric_outcomes([first, other])


def test_two_adapters_side_by_side_are_paired_and_signed_by_what_is_better():
    generator = np.random.default_rng(0)
    loss = 20 * generator.random(400)
    rows = [np.stack([np.stack([loss + extra, 0 * loss, 10 + 0 * loss], -1)] * 2) for extra in (1.0, 0.0)]
    worse, better = (kept(each, np.zeros(0), "tokens", "perplexity") for each in rows)
    assert one(beside(worse, better)).shape == (1, 4)
    found = compare(worse, better, higher_is_better=False)
    assert found.is_better
    assert found.gains[1].value == pytest.approx(np.exp((loss + 1).mean() / 10) - np.exp(loss.mean() / 10))
    assert found.gains[1].high - found.gains[1].low < 0.1  # unpaired it would be about 0.6
    back = compare(better, worse, higher_is_better=False)
    assert (back.mean.value, back.is_better) == (pytest.approx(-found.mean.value), False)


def test_four_examples_that_turned_right_are_no_evidence():
    expected = np.ones(300, dtype=int)
    before, after = np.ones((2, 300), dtype=int), np.ones((2, 300), dtype=int)
    before[:, :4] = 0
    assert compare(kept(before, expected), kept(after, expected), True).mean.value > 0
    assert not compare(kept(before, expected), kept(after, expected), True).is_better
