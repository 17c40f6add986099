"""Counting word n-grams."""

from collections import Counter
from collections.abc import Sequence

Ngram = tuple[str, ...]


def ngrams(words: Sequence[str], n: int) -> list[Ngram]:
    """All runs of `n` words, in order; none if there are fewer words.

    >>> ngrams(["a", "b", "c"], 2)
    [('a', 'b'), ('b', 'c')]
    """
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def count_up_to(words: Sequence[str], longest: int) -> Counter[Ngram]:
    """How often each n-gram of 1 to `longest` words occurs."""
    return Counter(ngram for n in range(1, longest + 1) for ngram in ngrams(words, n))


def merged_maximum(counts: Sequence[Counter[Ngram]]) -> Counter[Ngram]:
    """For each n-gram, the most often that it occurs in any one of the texts."""
    merged: Counter[Ngram] = Counter()
    for count in counts:
        merged |= count
    return merged
