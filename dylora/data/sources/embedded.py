"""The two small English sets that the package brings along, made from the restaurant grammar when they are asked for.

Making them takes a fraction of a second, so nothing is stored. They are the same on every machine and in every Python
version, and no combination of attributes occurs in two splits.
"""

import random
from typing import TypedDict

from dylora.data.sources import grammar
from dylora.data.sources.grammar import SPLITS, Meaning
from dylora.errors import InputError

ENTAILMENT_SIZES = {"train": 4000, "validation": 500, "test": 500}
TABLE_TO_TEXT_SIZES = {"train": 2000, "validation": 250, "test": 250}
REFERENCES = 4
# For the attributes that a hypothesis is about: the value that entails it, and its wordings.
CLAIMS = {
    "priceRange": ("cheap", ("suits a small budget", "is a place to eat for little money")),
    "customer rating": ("high", ("is worth a visit", "pleases its guests")),
    "familyFriendly": ("yes", ("is right for a family", "is a place to take the children to")),
}


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

    The premise says four attributes of a restaurant, one of them its price, its rating or whether it welcomes children.
    The hypothesis claims in general terms that it is affordable, good, or right for families; it never says more than
    that, so that only the premise's wording, one of several for each value, tells whether it is entailed.

    Args:
        split: `train` (4,000 rows), `validation` or `test` (500 rows each).

    Raises:
        InputError: If there is no such split.
    """
    rng = _generator("entailment", split)
    rows: dict[tuple[str, str], EntailmentRow] = {}
    while len(rows) < ENTAILMENT_SIZES[split]:
        label = len(rows) % 2
        meaning = grammar.draw_meaning(rng, split, 4)
        judged = [slot for slot in CLAIMS if slot in meaning]
        if len(judged) != 1 or (meaning[judged[0]] == CLAIMS[judged[0]][0]) != (label == 0):
            continue
        premise = grammar.sentence(meaning["name"], list(grammar.wordings(meaning, rng).values()))
        hypothesis = grammar.sentence(meaning["name"], [grammar.pick(rng, CLAIMS[judged[0]][1])])
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
