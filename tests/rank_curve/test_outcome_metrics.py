"""Metrics of weighted examples against scikit-learn, scipy and sacrebleu on the repeated examples."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from dylora.errors import InputError
from dylora.metrics.nlg import bleu
from dylora.rank_curve import outcome_metrics

SEEDS, RANKS, EXAMPLES = 2, (1, 2, 4), 60


@pytest.fixture
def generator():
    return np.random.default_rng(3)


@pytest.fixture
def weights(generator):
    """Two resamples and the whole sample."""
    drawn = generator.multinomial(EXAMPLES, np.full(EXAMPLES, 1 / EXAMPLES), size=2)
    return np.concatenate([drawn, np.ones((1, EXAMPLES), dtype=int)]).astype(float)


def _assert_equal(outcomes, weights, metric):
    """`metric(seed's place, rank's place, indices)` on every resample is the oracle."""
    found = outcomes.values(weights)
    assert found.shape == (len(weights), SEEDS, len(RANKS))
    for row, values in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(EXAMPLES), row.astype(int))
        expected = [[metric(s, r, drawn) for r in range(len(RANKS))] for s in range(SEEDS)]
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "classes", "oracle"),
    [
        ("accuracy", 3, metrics.accuracy_score),
        ("f1", 2, metrics.f1_score),
        ("matthews", 2, metrics.matthews_corrcoef),
        ("matthews", 4, metrics.matthews_corrcoef),
        ("macro_f1", 3, lambda y, p: metrics.f1_score(y, p, average="macro")),
    ],
)
def test_classification_metrics_of_resamples_are_scikit_learns(generator, weights, name, classes, oracle):
    expected = generator.integers(classes, size=EXAMPLES)
    predicted = np.where(generator.random((SEEDS, 3, EXAMPLES)) < 0.6, expected, generator.integers(classes))
    outcomes = outcome_metrics.classification_outcomes(name, RANKS, predicted, expected)
    _assert_equal(outcomes, weights, lambda s, r, i: oracle(expected[i], predicted[s, r, i]))


def test_accuracy_over_splits_is_the_mean_of_theirs(generator, weights):
    expected, split = generator.integers(3, size=EXAMPLES), np.repeat([0, 1], [20, 40])
    predicted = generator.integers(3, size=(SEEDS, 3, EXAMPLES))
    outcomes = outcome_metrics.classification_outcomes("accuracy", RANKS, predicted, expected, split)

    def mean(s, r, i):
        right = predicted[s, r, i] == expected[i]
        return (right[split[i] == 0].mean() + right[split[i] == 1].mean()) / 2

    _assert_equal(outcomes, weights, mean)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("pearson", lambda x, y: stats.pearsonr(x, y)[0]),
        ("spearman", lambda x, y: stats.spearmanr(x, y)[0]),
        ("mse", metrics.mean_squared_error),
        ("mae", metrics.mean_absolute_error),
    ],
)
def test_regression_metrics_of_resamples_are_those_of_scipy_and_scikit_learn(generator, weights, name, oracle):
    expected = generator.normal(size=EXAMPLES).round(1) + 50  # with ties, far from zero
    predicted = (expected + generator.normal(size=(SEEDS, 3, EXAMPLES))).round(1)
    outcomes = outcome_metrics.regression_outcomes(name, RANKS, predicted, expected)
    _assert_equal(outcomes, weights, lambda s, r, i: oracle(predicted[s, r, i], expected[i]))


def test_spearman_in_blocks_is_spearman_at_once(generator, monkeypatch):
    expected, predicted = generator.normal(size=EXAMPLES), generator.normal(size=(SEEDS, 3, EXAMPLES))
    outcomes = outcome_metrics.regression_outcomes("spearman", RANKS, predicted, expected)
    weights = generator.multinomial(EXAMPLES, np.full(EXAMPLES, 1 / EXAMPLES), size=7).astype(float)
    whole = outcomes.values(weights)
    monkeypatch.setattr("dylora.rank_curve.outcomes._CACHED", 3 * EXAMPLES)
    np.testing.assert_array_equal(outcomes.values(weights), whole)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("loss", lambda rows: rows[:, 0].sum() / rows[:, 2].sum()),
        ("perplexity", lambda rows: math.exp(rows[:, 0].sum() / rows[:, 2].sum())),
        ("token_accuracy", lambda rows: rows[:, 1].sum() / rows[:, 2].sum()),
    ],
)
def test_texts_count_with_their_tokens(generator, weights, name, oracle):
    tokens = generator.integers(5, 30, size=(SEEDS, 3, EXAMPLES))
    rows = np.stack([tokens * generator.random(tokens.shape), tokens // 3, tokens], -1)
    _assert_equal(outcome_metrics.token_outcomes(name, RANKS, rows), weights, lambda s, r, i: oracle(rows[s, r][i]))


def test_a_loss_too_large_for_a_float_is_infinite_perplexity():
    rows = np.array([[[[3000.0, 0, 2], [3000.0, 0, 2]]]])
    assert outcome_metrics.token_outcomes("perplexity", [1], rows).values(np.ones((1, 2))) == math.inf


def test_bleu_from_item_counts_is_corpus_bleu_of_the_resample(generator, weights):
    words = "a cheap pub near the river serves good food for you".split()
    write = lambda: " ".join(generator.permutation(words)[: generator.integers(4, 11)])  # noqa: E731
    start = " ".join(words[:5])
    references = [[f"{start} {write()}", f"{start} {write()}"] for _ in range(EXAMPLES)]
    texts = [[[f"{start} {write()}" for _ in range(EXAMPLES)] for _ in RANKS] for _ in range(SEEDS)]
    counts = np.array([[bleu.item_counts(one, references) for one in of_seed] for of_seed in texts])
    _assert_equal(
        outcome_metrics.bleu_outcomes(RANKS, counts),
        weights,
        lambda s, r, i: bleu.score([texts[s][r][k] for k in i], [references[k] for k in i]),
    )


@pytest.mark.parametrize("name", ["f1", "matthews"])
def test_a_metric_that_is_not_defined_is_zero(name):
    nothing = np.zeros(5, dtype=int)
    outcomes = outcome_metrics.classification_outcomes(name, [1], nothing[None, None], nothing)
    assert outcomes.values(np.ones((1, 5))) == 0


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_the_correlation_of_a_constant_is_zero(name):
    outcomes = outcome_metrics.regression_outcomes(name, [1], np.ones((1, 1, 5)), np.arange(5.0))
    assert outcomes.values(np.ones((1, 5))) == 0


def test_disagreements_and_the_effect_of_one_example():
    expected = np.ones(10, dtype=int)
    predicted = np.ones((1, 3, 10), dtype=int)
    predicted[0, 1, :2] = 0
    predicted[0, 2, 1:4] = 0
    outcomes = outcome_metrics.classification_outcomes("accuracy", RANKS, predicted, expected)
    assert outcomes.differing().tolist() == [[0, 2, 3], [2, 0, 3], [3, 3, 0]]
    # Leaving out a right or a wrong answer of 8 right ones in 10 gives 7/9 and 8/9; all right: the share of one, 1/10.
    np.testing.assert_allclose(outcomes.one_example(), [0.1, 1 / 9, 1 / 9])


def test_bad_use():
    two = np.zeros((1, 2, 3), dtype=int)
    with pytest.raises(InputError, match="metric: must be one of accuracy, f1, matthews, macro_f1, got 'bleu'"):
        outcome_metrics.classification_outcomes("bleu", [1, 2], two, np.zeros(3))
    with pytest.raises(InputError, match="metric: must be pearson, spearman, mse or mae, got 'f1'"):
        outcome_metrics.regression_outcomes("f1", [1, 2], two, np.zeros(3))
    with pytest.raises(InputError, match=r"outcomes: must be .* with one target an example"):
        outcome_metrics.regression_outcomes("mse", [1, 2], two, np.zeros(4))
    with pytest.raises(InputError, match="ranks: must be 2 ascending ranks"):
        outcome_metrics.regression_outcomes("mse", [2, 1], two, np.zeros(3))
    with pytest.raises(InputError, match="outcomes: must be of 2 examples or more"):
        outcome_metrics.regression_outcomes("mse", [1, 2], two[..., :1], np.zeros(1))
