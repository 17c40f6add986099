"""TER as microsoft/LoRA and WebNLG's GenerationEval report it: the mean over items of the least `pyter.ter`.

It is not the TER of the tercom program (`ter_tercom`): single references of DART give 0.608 here and 0.570 there.
"""

import math
from collections.abc import Iterator, Sequence

from dylora.metrics.nlg.edit_distance import EditDistance
from dylora.metrics.nlg.inputs import References, check_texts


def _shifts(words: list[str], reference: Sequence[str]) -> Iterator[list[str]]:
    """Every longest run that the text shares with the reference elsewhere, moved to where the reference has it."""
    for start, word in enumerate(words):
        for target, reference_word in enumerate(reference):
            if start == target or word != reference_word:
                continue
            length = 1
            longest = min(len(words) - start, len(reference) - target)
            while length < longest and words[start + length] == reference[target + length]:
                length += 1
            rest = words[:start] + words[start + length :]
            yield rest[:target] + words[start : start + length] + rest[target:]


def pair_score(words: Sequence[str], reference: Sequence[str]) -> float:
    """Edits and shifts, greedily the best shift first, over the length of the reference.

    Args:
        words: Words of the hypothesis.
        reference: Words of the reference, at least one.

    Returns:
        0 and up; 1 is one edit for every word of the reference.

    >>> pair_score("cheap the pub is".split(), "the pub is cheap".split())
    0.25
    """
    distance = EditDistance(reference)
    current, edits, shifts = list(words), distance(words), 0
    while edits:
        # Of equally good shifts pyter takes the one whose words come last in the alphabet.
        fewest, shifted = max(
            ((-distance(shift), shift) for shift in _shifts(current, reference)), default=(-edits, current)
        )
        if -fewest >= edits:
            break
        current, edits, shifts = shifted, -fewest, shifts + 1
    return (edits + shifts) / len(reference)


def item_score(hypothesis: str, references: Sequence[str]) -> float:
    """The least over the references; an empty reference counts 1, as in the script."""
    words = hypothesis.split()
    pairs = [pair_score(words, split) if (split := reference.split()) else 1.0 for reference in references]
    return min(pairs)


def score(hypotheses: Sequence[str], references: References) -> float:
    """Mean over the items of the least TER over the references, on words that spaces separate.

    Args:
        hypotheses: One tokenised text an item (`postprocess.evaluation_text` makes the words that the script scores).
        references: The references of each item.

    Returns:
        The mean, 0 and up; less is better.

    Raises:
        InputError: The two do not fit each other.
    """
    check_texts(hypotheses, references)
    items = [item_score(text, texts) for text, texts in zip(hypotheses, references, strict=True)]
    return math.fsum(items) / len(items)
