"""NIST as the E2E script gives it with `-p`.

Without `-p` that script runs mteval-v13a, whose NIST differs when items have different numbers of references.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

from dylora.metrics.nlg.inputs import References, check_texts
from dylora.metrics.nlg.ngrams import Ngram, count_up_to, merged_maximum

_LONGEST = 5
# The penalty is 1/2 when the output has 2/3 of the references' average length.
_BETA = -math.log(0.5) / math.log(1.5) ** 2

_SPACED = (
    (r"<skipped>|-\n", ""),
    ("\n", " "),
    ("&quot;", '"'),
    ("&amp;", "&"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    (r"([{-~\[-` -&(-+:-@/])", r" \1 "),
    (r"([^0-9])([.,])", r"\1 \2 "),
    (r"([.,])([^0-9])", r" \1 \2"),
    (r"([0-9])(-)", r"\1 \2 "),
)


def mteval_words(text: str) -> list[str]:
    """Lower-case words of mteval-v13a; an empty text has one word, the empty one.

    >>> mteval_words("A 3-star pub, £20.50!")
    ['a', '3', '-', 'star', 'pub', ',', '£20.50', '!']
    """
    text = f" {text} "
    for pattern, replacement in _SPACED:
        text = re.sub(pattern, replacement, text)
    return re.sub(r"\s+", " ", text).strip().lower().split(" ")


def _information(reference_counts: Counter[Ngram]) -> dict[Ngram, float]:
    """Bits that the last word of an n-gram adds to the words before it."""
    return {
        ngram: math.log2(reference_counts[ngram[:-1]] / count) for ngram, count in reference_counts.items() if ngram
    }


def _length_penalty(ratio: float) -> float:
    if ratio >= 1:
        return 1.0
    return math.exp(-_BETA * math.log(ratio) ** 2) if ratio > 0 else 0.0


def score(hypotheses: Sequence[str], references: References) -> float:
    """Corpus NIST over 1- to 5-grams.

    Args:
        hypotheses: One text an item.
        references: The references of each item.

    Returns:
        NIST, 0 and up: bits, not a fraction.

    Raises:
        InputError: The two do not fit each other.
    """
    check_texts(hypotheses, references)
    output_words = [mteval_words(text) for text in hypotheses]
    reference_words = [[mteval_words(text) for text in texts] for texts in references]
    in_references: Counter[Ngram] = Counter()
    hits: Counter[Ngram] = Counter()
    for words, texts in zip(output_words, reference_words, strict=True):
        counts = [count_up_to(text, _LONGEST) for text in texts]
        for count in counts:
            in_references.update(count)
        hits.update(count_up_to(words, _LONGEST) & merged_maximum(counts))
    in_references[()] = sum(len(words) for texts in reference_words for words in texts)
    information = _information(in_references)

    length = sum(map(len, output_words))
    average_length = math.fsum(sum(map(len, texts)) / len(texts) for texts in reference_words)
    total = 0.0
    for n in range(1, _LONGEST + 1):
        possible = length - (n - 1) * len(hypotheses)
        gained = math.fsum(information[ngram] * count for ngram, count in hits.items() if len(ngram) == n)
        total += gained / possible if possible else 0.0
    return total * _length_penalty(length / average_length)
