"""TER as the tercom program counts it, for DART and WebNLG 2017: all edits over all average reference lengths.

The search for shifts follows sacrebleu's account of tercom, without its limit of 1,000 tried shifts a pair and without
a beam: the edit distance is exact.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dylora.metrics.nlg.edit_distance import EditDistance
from dylora.metrics.nlg.inputs import References, check_texts

_LONGEST_SHIFT = 10  # words
_FARTHEST_MATCH = 50  # words between a run and where the reference has it


class _Alignment(NamedTuple):
    """How a text was turned into the reference.

    Attributes:
        places: For each word of the reference, the last place of the text used up by then (-1: none).
        wrong: For each word of the text, whether it was substituted or deleted.
        missed: For each word of the reference, whether it was substituted or inserted.
    """

    places: list[int]
    wrong: list[bool]
    missed: list[bool]


def _table(words: Sequence[str], reference: Sequence[str]) -> list[list[int]]:
    """Edit distances of all beginnings of the text (rows) to all beginnings of the reference."""
    rows = [list(range(len(reference) + 1))]
    for word in words:
        above, left = rows[-1], len(rows)
        row = [left]
        for place, reference_word in enumerate(reference):
            left = min(above[place] + (word != reference_word), above[place + 1] + 1, left + 1)
            row.append(left)
        rows.append(row)
    return rows


def _align(words: Sequence[str], reference: Sequence[str]) -> _Alignment:
    """The alignment of fewest edits; of equals, tercom's: match or substitute, else delete, else insert."""
    table = _table(words, reference)
    places, wrong, missed = [0] * len(reference), [True] * len(words), [True] * len(reference)
    i, j = len(words), len(reference)
    while j:
        differ = i == 0 or words[i - 1] != reference[j - 1]
        if i and table[i][j] == table[i - 1][j - 1] + differ:
            i, j = i - 1, j - 1
            places[j], wrong[i], missed[j] = i, differ, differ
        elif i and table[i][j] == table[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
            places[j] = i - 1
    return _Alignment(places, wrong, missed)


class _Shift(NamedTuple):
    """Words `start` to `start + length` of the text, to be put before place `target`."""

    length: int
    start: int
    target: int

    def apply(self, words: list[str]) -> list[str]:
        length, start, target = self
        run, end = words[start : start + length], start + length
        if target < start:
            return words[:target] + run + words[target:start] + words[end:]
        if target > end:
            return words[:start] + words[end:target] + run + words[target:]
        return words[:start] + words[end : length + target] + run + words[length + target :]


def _shared_runs(words: Sequence[str], reference: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Runs of words that both have: where in the text, where in the reference, length."""
    for start, word in enumerate(words):
        for place, reference_word in enumerate(reference):
            if word != reference_word or abs(place - start) > _FARTHEST_MATCH:
                continue
            longest = min(len(words) - start, len(reference) - place, _LONGEST_SHIFT)
            for length in range(1, longest + 1):
                yield start, place, length
                if length < longest and words[start + length] != reference[place + length]:
                    break


def _shifts(words: Sequence[str], reference: Sequence[str]) -> set[_Shift]:
    """The shifts that tercom tries: of a run with an error, to where the reference has it and has an error too."""
    places, wrong, missed = _align(words, reference)
    shifts: set[_Shift] = set()
    for start, place, length in _shared_runs(words, reference):
        if not any(wrong[start : start + length]) or not any(missed[place : place + length]):
            continue
        if start <= places[place] < start + length:
            continue
        shifts.update(
            _Shift(length, start, places[end] + 1 if end >= 0 else 0) for end in range(place - 1, place + length)
        )
    return shifts


def pair_edits(words: Sequence[str], reference: Sequence[str]) -> int:
    """Edits and shifts from a text to a reference, greedily the best shift first.

    >>> pair_edits("cheap the pub is".split(), "the pub is cheap".split())
    1
    """
    distance = EditDistance(reference)
    current, edits, shifts = list(words), distance(words), 0
    while edits:
        gain, best = 0, current
        # Of equally good shifts the longest counts, then the earliest run, then the earliest target.
        for shift in sorted(_shifts(current, reference), key=lambda shift: (-shift.length, shift.start, shift.target)):
            if gain >= 2 * shift.length:  # a run of k words can save no more than 2k edits
                break
            shifted = shift.apply(current)
            saved = edits - distance(shifted)
            if saved > gain:
                gain, best = saved, shifted
        if not gain:
            break
        current, edits, shifts = best, edits - gain, shifts + 1
    return edits + shifts


def _words(text: str) -> list[str]:
    return re.findall(r"\S+", text.lower(), re.ASCII)


def score(hypotheses: Sequence[str], references: References) -> float:
    """Corpus TER on lower-case words that spaces separate.

    Args:
        hypotheses: One tokenised text an item.
        references: The references of each item; the one with the fewest edits counts, their lengths are averaged.

    Returns:
        Edits over words of reference, 0 and up; less is better. Without any word of reference, 1 if there are edits.

    Raises:
        InputError: The two do not fit each other.
    """
    check_texts(hypotheses, references)
    edits, lengths = 0, []
    for text, texts in zip(hypotheses, references, strict=True):
        words, reference_words = _words(text), [_words(reference) for reference in texts]
        edits += min(pair_edits(words, reference) for reference in reference_words)
        lengths.append(sum(map(len, reference_words)) / len(reference_words))
    total = math.fsum(lengths)
    return edits / total if total else float(edits > 0)
