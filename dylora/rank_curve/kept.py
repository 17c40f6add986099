"""What an evaluation keeps of every example at every rank, and the metric's outcomes made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy import ndarray

from dylora.errors import InputError
from dylora.rank_curve.outcome_metrics import (
    bleu_outcomes,
    classification_outcomes,
    mean_outcomes,
    regression_outcomes,
    token_outcomes,
)
from dylora.rank_curve.outcomes import Outcomes

Kind = Literal["classes", "scores", "tokens", "ngrams", "e2e_ngrams", "means"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_METRICS: dict[Kind, tuple[str, ...]] = {
    "classes": ("accuracy", "f1", "matthews", "macro_f1"),
    "scores": ("pearson", "spearman", "mse", "mae"),
    "tokens": ("perplexity", "loss", "token_accuracy"),
    "ngrams": ("bleu", "bleu_multi"),
    "e2e_ngrams": ("bleu",),
    "means": ("rouge_l", "exact_match", "slot_accuracy"),
}


@dataclass(frozen=True)
class KeptOutcomes:
    """Each example's outcome at each rank, in the order of the data.

    Attributes:
        kind: `classes` (predicted class ids), `scores` (predicted numbers), `tokens` (of each text the negative
            log-likelihood in nats, the tokens guessed right and the number of tokens), `ngrams` (of each generated text
            the ten counts of BLEU), `e2e_ngrams` (those of the E2E script) or `means` (a score of each text).
        metric: The metric that ranks are compared by.
        ranks: The ranks, ascending.
        values: (ranks, examples), (ranks, examples, 3) for `tokens`, or (ranks, examples, 10) for n-grams.
        expected: (examples,), class ids or scores; empty for texts.
        split: (examples,), place of each example's split.
        index: (examples,), place of each example in its split.
    """

    kind: Kind
    metric: str
    ranks: tuple[int, ...]
    values: ndarray = field(repr=False)
    expected: ndarray = field(repr=False)
    split: ndarray = field(repr=False)
    index: ndarray = field(repr=False)

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(self.index)

    def at(self, ranks: Sequence[int]) -> "KeptOutcomes":
        """The same examples at some of the ranks."""
        places = [self.ranks.index(rank) for rank in ranks]
        return KeptOutcomes(
            self.kind, self.metric, tuple(ranks), self.values[places], self.expected, self.split, self.index
        )


def can_be_kept(kind: Kind | None, metric: str) -> bool:
    """Whether a metric can be computed again from outcomes of a kind.

    >>> can_be_kept("classes", "f1"), can_be_kept("classes", "pearson"), can_be_kept(None, "f1")
    (True, False, False)
    """
    return kind is not None and metric in _METRICS[kind]


def kept_metrics() -> tuple[str, ...]:
    """The metrics that some kind of outcome gives, each once."""
    return tuple(dict.fromkeys(name for names in _METRICS.values() for name in names))


def metric_outcomes(seeds: Sequence[KeptOutcomes]) -> Outcomes:
    """The outcomes of one run, or of several training seeds on the same examples.

    Raises:
        InputError: If the runs were not evaluated on the same examples, at the same ranks, by the same metric.
    """
    first = seeds[0]
    for other in seeds[1:]:
        _check_same(first, other)
    return _outcomes(first, np.stack([kept.values for kept in seeds]))


def _outcomes(like: KeptOutcomes, values: ndarray) -> Outcomes:
    if like.kind == "classes":
        return classification_outcomes(like.metric, like.ranks, values, like.expected, like.split)
    if like.kind == "scores":
        return regression_outcomes(like.metric, like.ranks, values, like.expected)
    if like.kind == "means":
        return mean_outcomes(like.ranks, values)
    if like.kind in ("ngrams", "e2e_ngrams"):
        return bleu_outcomes(like.ranks, values, as_in_e2e=like.kind == "e2e_ngrams")
    return token_outcomes(like.metric, like.ranks, values)


def figures_of(kept: KeptOutcomes) -> dict[int, float]:
    """The metric at each rank, on all examples."""
    values = metric_outcomes([kept]).values(np.ones((1, kept.examples)))[0, 0]
    return dict(zip(kept.ranks, values.tolist(), strict=True))


def beside(first: KeptOutcomes, second: KeptOutcomes) -> Outcomes:
    """Outcomes of two adapters on the same examples; arguments and errors are those of `side_by_side`."""
    return metric_outcomes([side_by_side(first, second)])


def side_by_side(first: KeptOutcomes, second: KeptOutcomes) -> KeptOutcomes:
    """Two adapters on the same examples as one curve: the ranks of the first as 1 to R, then those of the second.

    Raises:
        InputError: If they were not evaluated on the same examples, or not by the same metric.
    """
    _check_same(first, second, same_ranks=False)
    values = np.concatenate([first.values, second.values])
    places = tuple(range(1, len(values) + 1))
    return KeptOutcomes(first.kind, first.metric, places, values, first.expected, first.split, first.index)


def _check_same(first: KeptOutcomes, other: KeptOutcomes, same_ranks: bool = True) -> None:
    fix = "compare runs that were evaluated alike"
    if (first.kind, first.metric) != (other.kind, other.metric):
        raise InputError("runs", f"evaluated by one metric ({first.metric})", other.metric, fix)
    if same_ranks and first.ranks != other.ranks:
        raise InputError("runs", f"evaluated at the same ranks {list(first.ranks)}", list(other.ranks), fix)
    same = first.examples == other.examples and all(
        np.array_equal(a, b)
        for a, b in (
            (first.index, other.index),
            (first.split, other.split),
            (first.expected, other.expected),
        )
    )
    if not same:
        raise InputError("runs", f"evaluated on the same {first.examples} examples", "others", fix)
