"""CIDEr as the COCO and E2E scorers compute it (they call CIDEr what its paper calls CIDEr-D)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from dylora.metrics.nlg.inputs import References, check_texts
from dylora.metrics.nlg.ngrams import Ngram, count_up_to
from dylora.metrics.nlg.ptb_tokenizer import ptb_text

_LONGEST = 4
_SIGMA = 6.0  # words; how fast a difference in length costs


def _words(text: str) -> list[str]:
    return ptb_text(text).split()


def _weights(counts: Counter[Ngram], idf: Mapping[Ngram, float], unseen: float) -> list[dict[Ngram, float]]:
    """tf-idf of the n-grams of one text, by length."""
    weights: list[dict[Ngram, float]] = [{} for _ in range(_LONGEST)]
    for ngram, count in counts.items():
        weights[len(ngram) - 1][ngram] = count * idf.get(ngram, unseen)
    return weights


class _Text:
    """tf-idf vectors of one text, their norms, and its length as the official script takes it: its bigrams."""

    def __init__(self, counts: Counter[Ngram], idf: Mapping[Ngram, float], unseen: float) -> None:
        self.weights = _weights(counts, idf, unseen)
        self.norms = [math.sqrt(sum(value**2 for value in weights.values())) for weights in self.weights]
        self.length = sum(count for ngram, count in counts.items() if len(ngram) == 2)


def _similarity(hypothesis: _Text, reference: _Text) -> float:
    """Clipped cosine, averaged over the lengths of n-grams, less the penalty for another length of text."""
    cosines = 0.0
    for n in range(_LONGEST):
        norm = hypothesis.norms[n] * reference.norms[n]
        if norm:
            weights = reference.weights[n]
            common = ((value, weights[ngram]) for ngram, value in hypothesis.weights[n].items() if ngram in weights)
            cosines += sum(min(mine, theirs) * theirs for mine, theirs in common) / norm
    difference = hypothesis.length - reference.length
    return cosines / _LONGEST * math.exp(-(difference**2) / (2 * _SIGMA**2))


def item_scores(hypotheses: Sequence[str], references: References) -> list[float]:
    """CIDEr of every item, 0..10. Document frequencies are of this set, so those of other sets do not compare."""
    check_texts(hypotheses, references)
    counts = [[count_up_to(_words(text), _LONGEST) for text in texts] for texts in references]
    documents = Counter(ngram for texts in counts for ngram in set().union(*texts))
    log_items = math.log(len(references))
    idf = {ngram: log_items - math.log(count) for ngram, count in documents.items()}

    scores = []
    for text, texts in zip(hypotheses, counts, strict=True):
        mine = _Text(count_up_to(_words(text), _LONGEST), idf, log_items)
        scores.append(10 * math.fsum(_similarity(mine, _Text(one, idf, log_items)) for one in texts) / len(texts))
    return scores


def score(hypotheses: Sequence[str], references: References) -> float:
    """Mean CIDEr.

    Args:
        hypotheses: One text an item.
        references: The references of each item.

    Returns:
        The mean over the items, 0..10; 0 for a set of one item, in which no word tells anything.

    Raises:
        InputError: The two do not fit each other.
    """
    items = item_scores(hypotheses, references)
    return math.fsum(items) / len(items)
