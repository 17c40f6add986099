"""The two small English sets that the package brings along, made from the restaurant grammar when they are asked for.

Making them takes a fraction of a second, so nothing is stored. They are the same on every machine and in every Python
version, and no combination of attributes occurs in two splits.
"""

import random
from typing import TypedDict

from dylora.data import grammar
from dylora.data.grammar import SPLITS, Meaning
from dylora.errors import InputError

ENTAILMENT_SIZES = {"train": 4000, "validation": 500, "test": 500}
TABLE_TO_TEXT_SIZES = {"train": 2000, "validation": 250, "test": 250}
REFERENCES = 4


class TableToTextRow(TypedDict):
    """A meaning representation in E2E style and several texts that say it."""

    mr: str
    references: list[str]


class EntailmentRow(TypedDict):
    """Premise, hypothesis and label: 0 = entailment, 1 = not_entailment, as in RTE."""

    sentence1: str
    sentence2: str
    label: int


def table_to_text(split: str) -> list[TableToTextRow]:
    """Meaning representations of 3 to 7 attributes, each with four different references.

    Args:
        split: `train` (2,000 rows), `validation` or `test` (250 rows each).

    Raises:
        InputError: If there is no such split.
    """
    rng = _generator("table_to_text", split)
    meanings: dict[str, Meaning] = {}
    while len(meanings) < TABLE_TO_TEXT_SIZES[split]:
        size = 3 + int(rng.random() * 5)
        meaning = grammar.draw_meaning(rng, split, size)
        meanings[grammar.meaning_text(meaning)] = meaning
    return [{"mr": mr, "references": _references(meaning, rng)} for mr, meaning in meanings.items()]


def entailment(split: str) -> list[EntailmentRow]:
    """Pairs of sentences, half of them entailed.

    The premise says three attributes of a restaurant, the hypothesis one of them: in the premise's words where it is
    entailed, with another value where it is not. The hypothesis alone does not give the label away.

    Args:
        split: `train` (4,000 rows), `validation` or `test` (500 rows each).

    Raises:
        InputError: If there is no such split.
    """
    rng = _generator("entailment", split)
    rows: dict[tuple[str, str], EntailmentRow] = {}
    while len(rows) < ENTAILMENT_SIZES[split]:
        label = len(rows) % 2
        meaning = grammar.draw_meaning(rng, split, 3)
        said = grammar.wordings(meaning, rng)
        slot = grammar.pick(rng, list(said))
        claim = grammar.changed_wording(meaning, slot, rng) if label else said[slot]
        premise = grammar.sentence(meaning["name"], list(said.values()))
        hypothesis = grammar.sentence(meaning["name"], [claim])
        rows.setdefault((premise, hypothesis), {"sentence1": premise, "sentence2": hypothesis, "label": label})
    return grammar.shuffled(rng, list(rows.values()))


def _generator(name: str, split: str) -> random.Random:
    if split not in SPLITS:
        raise InputError("split", "one of " + ", ".join(SPLITS), repr(split), "choose a split from the list")
    return random.Random(f"{name}/{split}")


def _references(meaning: Meaning, rng: random.Random) -> list[str]:
    """Different texts for one meaning, in a fixed order."""
    texts: dict[str, None] = {}
    while len(texts) < REFERENCES:
        texts[grammar.describe(meaning, rng)] = None
    return list(texts)
