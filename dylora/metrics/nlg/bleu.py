"""BLEU in the three definitions that the data-to-text scripts use, all from sacrebleu's counts; values in 0..1."""

import math
from collections.abc import Sequence
from itertools import zip_longest

from sacrebleu.metrics.bleu import BLEU, BLEUScore

from dylora.metrics.nlg.inputs import References, check_texts

# What the E2E script puts for no match and for no n-gram, so that a logarithm exists.
_NO_MATCH, _NO_NGRAM = 1e-15, 1e-9


def _counts(hypotheses: Sequence[str], references: References, tokenizer: str) -> BLEUScore:
    check_texts(hypotheses, references)
    bleu = BLEU(lowercase=True, force=True, tokenize=tokenizer, smooth_method="none")
    # A missing reference is None. An empty text would count as a reference of length 0, often the closest one.
    counts: BLEUScore = bleu.corpus_score(hypotheses, list(zip_longest(*references)))
    return counts


def score(hypotheses: Sequence[str], references: References) -> float:
    """Corpus BLEU of mteval-v13a and of multi-bleu-detok, lower case.

    Args:
        hypotheses: One text an item.
        references: The references of each item.

    Returns:
        BLEU, 0..1: sacrebleu's value divided by 100.

    Raises:
        InputError: The two do not fit each other.

    >>> round(score(["The pub is cheap ."], [["The pub is cheap .", "A cheap pub ."]]), 6)
    1.0
    """
    return float(_counts(hypotheses, references, "13a").score) / 100


def item_counts(hypotheses: Sequence[str], references: References, tokenizer: str = "13a") -> list[list[int]]:
    """What each item adds to the counts that `score` is computed from, so that it can be computed on any resample.

    Args:
        hypotheses: One text an item.
        references: The references of each item.
        tokenizer: sacrebleu's name of it.

    Returns:
        Of each item ten numbers: matching n-grams (n = 1 to 4), n-grams (n = 1 to 4), length, closest reference length.

    Raises:
        InputError: The two do not fit each other.
    """
    check_texts(hypotheses, references)
    items = (_counts([text], [texts], tokenizer) for text, texts in zip(hypotheses, references, strict=True))
    return [[*item.counts, *item.totals, item.sys_len, item.ref_len] for item in items]


def e2e_item_counts(hypotheses: Sequence[str], references: References) -> list[list[int]]:
    """As `item_counts`, for `e2e_score`: n-grams are words - n + 1, and an empty text has one (empty) word."""
    found = []
    for text, (*hits, _, _, _, _, length, closest) in zip(hypotheses, item_counts(hypotheses, references), strict=True):
        words = length + (not text.strip())
        found.append([*hits, *(words - n for n in range(4)), words, closest])
    return found


def multi_bleu_item_counts(
    hypotheses: Sequence[str], references: References, reference_files: int = 3
) -> list[list[int]]:
    """As `item_counts`, for `multi_bleu_score`, whose arguments it has."""
    check_texts(hypotheses, references)
    return item_counts(hypotheses, _padded(references, reference_files), "none")


def e2e_score(hypotheses: Sequence[str], references: References) -> float:
    """Corpus BLEU of the E2E script with `-p`.

    It differs from `score` when a hypothesis is short: an item of k words adds k - n + 1 to the number of n-grams even
    where that is negative, an empty hypothesis has one (empty) word, and no match is 1e-15 instead of zero.

    Args:
        hypotheses: One text an item.
        references: The references of each item.

    Returns:
        BLEU, 0..1.

    Raises:
        InputError: The two do not fit each other.
    """
    counts = _counts(hypotheses, references, "13a")
    words = counts.sys_len + sum(not text.strip() for text in hypotheses)
    totals = [words - n * len(hypotheses) for n in range(4)]
    logs = [
        math.log(max(hits, _NO_MATCH) / max(total, _NO_NGRAM))
        for hits, total in zip(counts.counts, totals, strict=True)
    ]
    brevity = math.exp(1 - counts.ref_len / words) if words <= counts.ref_len else 1.0
    return brevity * math.exp(sum(logs) / 4)


def multi_bleu_score(hypotheses: Sequence[str], references: References, reference_files: int = 3) -> float:
    """Corpus BLEU of multi-bleu.perl -lc over reference files, as the scripts of DART and WebNLG 2017 call it.

    Words are what spaces separate. A reference that an item lacks is an empty line in its file, which counts as a
    reference of length 0 when the closest length is chosen; so the brevity penalty is milder than in `score`.

    Args:
        hypotheses: One tokenised text an item.
        references: The references of each item; those beyond `reference_files` are ignored.
        reference_files: How many files, hence references, the script reads.

    Returns:
        BLEU, 0..1.

    Raises:
        InputError: The two do not fit each other.
    """
    check_texts(hypotheses, references)
    return float(_counts(hypotheses, _padded(references, reference_files), "none").score) / 100


def _padded(references: References, files: int) -> list[list[str]]:
    """An empty line for each reference that an item lacks."""
    return [[*texts, *[""] * files][:files] for texts in references]
