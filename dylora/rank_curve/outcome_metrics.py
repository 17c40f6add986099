"""The metrics as functions of sums over examples, and the outcomes that predictions give."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from dylora.errors import InputError
from dylora.rank_curve.outcomes import Outcomes, Spearman, Sums

Sum = Float[ndarray, "*any k"]
Value = Float[ndarray, "*any"]


def classification_outcomes(
    metric: str,
    ranks: Sequence[int],
    predicted: Int[ndarray, "seeds ranks examples"],
    expected: Int[ndarray, " examples"],
    split: Int[ndarray, " examples"] | None = None,
) -> Outcomes:
    """Outcomes of predicted classes.

    Args:
        metric: `accuracy`, `f1` (of class 1), `matthews` or `macro_f1` (over the classes in `expected`).
        ranks: The ranks, ascending.
        predicted: Predicted class ids.
        expected: The true ones.
        split: Of several validation splits the place of each example's; `accuracy` is then the mean over the splits.

    Raises:
        InputError: If there is no such metric, or predictions and targets do not fit each other.
    """
    if metric not in _OF_CLASSES:
        raise InputError("metric", "one of " + ", ".join(_OF_CLASSES), repr(metric), "choose one of them")
    expected = _fitting(predicted, expected)
    truth = expected[:, None, None]  # (examples, 1, 1) against (examples, seeds, ranks)
    guess = np.moveaxis(predicted, -1, 0)
    if metric == "accuracy":
        parts = np.zeros(len(expected), dtype=np.int64) if split is None else split
        inside = [np.broadcast_to((parts == part)[:, None, None], guess.shape) for part in np.unique(parts)]
        columns = [column for part in inside for column in (part & (guess == truth), part)]
    elif metric == "macro_f1":
        classes = np.unique(expected)
        columns = [c for k in classes for c in ((guess == k) & (truth == k), (guess == k) ^ (truth == k))]
    elif metric == "matthews" and max(int(guess.max()), int(expected.max())) > 1:
        classes = np.union1d(expected, guess)
        whole = np.broadcast_to(truth, guess.shape)
        columns = [guess == truth, np.ones(guess.shape, bool)]
        columns += [*(guess == k for k in classes), *(whole == k for k in classes)]
        return Sums(tuple(ranks), np.stack(columns, -1).astype(float), _matthews_of_many)
    else:
        columns = [(guess == g) & (truth == t) for t in (0, 1) for g in (0, 1)]  # tn, fp, fn, tp
    return Sums(tuple(ranks), np.stack(columns, -1).astype(float), _OF_CLASSES[metric])


def regression_outcomes(
    metric: str,
    ranks: Sequence[int],
    predicted: Float[ndarray, "seeds ranks examples"],
    expected: Float[ndarray, " examples"],
) -> Outcomes:
    """Outcomes of predicted scores.

    Args:
        metric: `pearson`, `spearman`, `mse` or `mae`.
        ranks: The ranks, ascending.
        predicted: Predicted scores.
        expected: The true ones.

    Raises:
        InputError: If there is no such metric, or predictions and targets do not fit each other.
    """
    if metric not in ("pearson", "spearman", "mse", "mae"):
        raise InputError("metric", "pearson, spearman, mse or mae", repr(metric), "choose one of them")
    y = _fitting(predicted, expected).astype(float)
    x = np.moveaxis(predicted, -1, 0).astype(float)  # (examples, seeds, ranks)
    if metric == "spearman":
        return Spearman(tuple(ranks), x, y)
    truth = np.broadcast_to(y[:, None, None], x.shape)
    if metric in ("mse", "mae"):
        error = np.abs(x - truth) ** (2 if metric == "mse" else 1)
        return Sums(tuple(ranks), np.stack([error, np.ones_like(x)], -1), _ratio)
    x, truth = _standardised(x), _standardised(truth)  # so that the differences of sums keep their digits
    columns = [x, truth, x * x, truth * truth, x * truth, np.ones_like(x)]
    return Sums(tuple(ranks), np.stack(columns, -1), pearson)


def token_outcomes(metric: str, ranks: Sequence[int], rows: Float[ndarray, "seeds ranks examples 3"]) -> Outcomes:
    """Outcomes of a language model: each text counts with its number of tokens.

    Args:
        metric: `perplexity`, `loss` (nats a token) or `token_accuracy`.
        ranks: The ranks, ascending.
        rows: Negative log-likelihood in nats, tokens guessed right and number of tokens of each text.

    Raises:
        InputError: If there is no such metric.
    """
    if metric not in ("perplexity", "loss", "token_accuracy"):
        raise InputError("metric", "perplexity, loss or token_accuracy", repr(metric), "choose one of them")
    column = 1 if metric == "token_accuracy" else 0
    statistics = np.moveaxis(rows, 2, 0)[..., [column, 2]].astype(float)
    return Sums(tuple(ranks), statistics, _perplexity if metric == "perplexity" else _ratio)


def bleu_outcomes(
    ranks: Sequence[int], counts: Float[ndarray, "seeds ranks examples 10"], as_in_e2e: bool = False
) -> Outcomes:
    """Outcomes of generated texts for corpus BLEU.

    Args:
        ranks: The ranks, ascending.
        counts: What `dylora.metrics.nlg.bleu.item_counts` (or another of its item counts) gives for each rank's texts.
        as_in_e2e: Whether they are those of `e2e_item_counts`, and BLEU is that of the E2E script.
    """
    return Sums(tuple(ranks), np.moveaxis(counts, 2, 0).astype(float), e2e_bleu if as_in_e2e else bleu)


def mean_outcomes(ranks: Sequence[int], scores: Float[ndarray, "seeds ranks examples"]) -> Outcomes:
    """Outcomes for a metric that is the mean of a score of each example, such as ROUGE-L.

    Args:
        ranks: The ranks, ascending.
        scores: The scores.
    """
    each = np.moveaxis(scores, -1, 0).astype(float)
    return Sums(tuple(ranks), np.stack([each, np.ones_like(each)], -1), _ratio)


def pearson(sums: Sum) -> Value:
    """Pearson's correlation from the sums of x, y, x², y², xy and 1; 0 where it is not defined."""
    x, y, xx, yy, xy, n = np.moveaxis(sums, -1, 0)
    spread = (n * xx - x * x) * (n * yy - y * y)
    return np.asarray(np.clip(_divided(n * xy - x * y, np.sqrt(np.maximum(spread, 0))), -1, 1))


def bleu(sums: Sum) -> Value:
    """Corpus BLEU, 0..1, from the sums of matches and n-grams (n = 1 to 4 each) and of both lengths, without smoothing.

    >>> float(bleu(np.array([4.0, 3, 2, 1, 4, 3, 2, 1, 4, 4])))
    1.0
    """
    hits, possible, ours, closest = sums[..., :4], sums[..., 4:8], sums[..., 8], sums[..., 9]
    precisions = _divided(hits, possible)
    missing = (precisions == 0).any(-1)
    logs = np.log(np.where(precisions > 0, precisions, 1.0)).mean(-1)
    brevity = np.minimum(0.0, 1 - _divided(closest, ours))
    return np.where(missing, 0.0, np.exp(logs + brevity))


def e2e_bleu(sums: Sum) -> Value:
    """Corpus BLEU of the E2E script, 0..1, from sums as of `bleu`: no match counts as 1e-15, no n-gram as 1e-9."""
    hits, possible, ours, closest = sums[..., :4], sums[..., 4:8], sums[..., 8], sums[..., 9]
    logs = np.log(np.maximum(hits, 1e-15) / np.maximum(possible, 1e-9)).mean(-1)
    return np.asarray(np.exp(logs + np.minimum(0.0, 1 - _divided(closest, ours))))


def _ratio(sums: Sum) -> Value:
    return _divided(sums[..., 0], sums[..., 1])


def _perplexity(sums: Sum) -> Value:
    loss = _ratio(sums)
    return np.where(loss < 700, np.exp(np.minimum(loss, 700.0)), np.inf)  # as `TokenMetrics` has it


def _accuracy(sums: Sum) -> Value:
    """The mean over the splits of right answers by examples; a split that a resample has none of is left out."""
    right, seen = sums[..., 0::2], sums[..., 1::2]
    return _divided(_divided(right, seen).sum(-1), (seen > 0).sum(-1).astype(float))


def _f1(sums: Sum) -> Value:
    _, false_positive, false_negative, true_positive = np.moveaxis(sums, -1, 0)
    return _divided(2 * true_positive, 2 * true_positive + false_positive + false_negative)


def _macro_f1(sums: Sum) -> Value:
    right, wrong = sums[..., 0::2], sums[..., 1::2]
    return np.asarray(_divided(2 * right, 2 * right + wrong).mean(-1))


def _matthews(sums: Sum) -> Value:
    tn, fp, fn, tp = np.moveaxis(sums, -1, 0)
    return _divided(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _matthews_of_many(sums: Sum) -> Value:
    """Matthews correlation of several classes (Gorodkin 2004); 0 where predictions or labels are all one class.

    Args:
        sums: Right predictions, examples, then predictions of each class and labels of each class.
    """
    classes = (sums.shape[-1] - 2) // 2
    right, count = sums[..., 0], sums[..., 1]
    guesses, truths = sums[..., 2 : 2 + classes], sums[..., 2 + classes :]
    spread = (count**2 - (guesses**2).sum(-1)) * (count**2 - (truths**2).sum(-1))
    covariance = right * count - (guesses * truths).sum(-1)
    return _divided(covariance, np.sqrt(spread))


def _divided(above: Value, below: Value) -> Value:
    """A quotient that is 0 where it is not defined."""
    return np.asarray(np.divide(above, below, out=np.zeros_like(above, dtype=float), where=below > 0))


def _standardised(values: Float[ndarray, "examples seeds ranks"]) -> Float[ndarray, "examples seeds ranks"]:
    centred = values - values.mean(0)
    largest = np.abs(centred).max(0)
    return np.asarray(centred / np.where(largest > 0, largest, 1.0))


def _fitting(predicted: ndarray, expected: ndarray) -> ndarray:
    if predicted.ndim != 3 or expected.shape != predicted.shape[-1:]:
        given = f"{predicted.shape} and {expected.shape}"
        raise InputError("outcomes", "(seeds, ranks, examples) with one target an example", given, "check both")
    return expected


_OF_CLASSES: dict[str, Callable[[Sum], Value]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "macro_f1": _macro_f1,
}
