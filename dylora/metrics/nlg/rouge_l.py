"""ROUGE-L as the COCO and E2E scorers compute it: longest common subsequence of Penn Treebank tokens, beta 1.2."""

import math
from collections.abc import Sequence

from dylora.metrics.nlg.inputs import References, check_texts
from dylora.metrics.nlg.ptb_tokenizer import ptb_text

_BETA = 1.2


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest subsequence that two sequences share.

    >>> longest_common_subsequence("a b c d".split(), "b x d".split())
    2
    """
    # Bit j of `row` is 0 where position j of `first` ends a longer match (Hyyrö's bit-parallel recurrence).
    masks: dict[str, int] = {}
    for place, word in enumerate(first):
        masks[word] = masks.get(word, 0) | 1 << place
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        matched = row & masks.get(word, 0)
        row = (row + matched | row - matched) & full
    return len(first) - row.bit_count()


def item_score(hypothesis: str, references: Sequence[str]) -> float:
    """ROUGE-L of one tokenised text: precision and recall each taken from the reference that is best for it."""
    words = hypothesis.split(" ")
    precision = recall = 0.0
    for reference in references:
        reference_words = reference.split(" ")
        common = longest_common_subsequence(words, reference_words)
        precision = max(precision, common / len(words))
        recall = max(recall, common / len(reference_words))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def score(hypotheses: Sequence[str], references: References) -> float:
    """Mean ROUGE-L.

    Args:
        hypotheses: One text an item.
        references: The references of each item.

    Returns:
        The mean over the items, 0..1.

    Raises:
        InputError: The two do not fit each other.
    """
    check_texts(hypotheses, references)
    items = [
        item_score(ptb_text(text), [ptb_text(reference) for reference in texts])
        for text, texts in zip(hypotheses, references, strict=True)
    ]
    return math.fsum(items) / len(items)
