"""The two small English sets that the package brings along, made from the restaurant grammar when they are asked for.

Making them takes a fraction of a second, so nothing is stored. They are the same on every machine and in every Python
version, and no combination of attributes occurs in two splits.
"""

import random
from typing import TypedDict

from dylora.data import grammar
from dylora.data.grammar import ATTRIBUTES, SPLITS, VALUES, Meaning
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

    The premise describes one restaurant, or two side by side. The hypothesis states one or two attributes of one
    of them in other words; where it is not entailed, one attribute has another value (that of the other restaurant,
    where there are two) or was not mentioned. Neither sentence gives the label away alone.

    Args:
        split: `train` (4,000 rows), `validation` or `test` (500 rows each).

    Raises:
        InputError: If there is no such split.
    """
    rng = _generator("entailment", split)
    rows: dict[tuple[str, str], EntailmentRow] = {}
    while len(rows) < ENTAILMENT_SIZES[split]:
        label = len(rows) % 2
        make = _about_two if rng.random() < 0.25 else _about_one
        premise, hypothesis = make(rng, split, label)
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


def _about_one(rng: random.Random, split: str, label: int) -> tuple[str, str]:
    """Premise and hypothesis about a single restaurant."""
    truth = grammar.draw_meaning(rng, split, 2 + int(rng.random() * 2))
    premise = grammar.describe(truth, rng)
    claim = _subset(truth, rng)
    slot = pick_attribute(claim, rng)
    if label and rng.random() < 0.25:
        del claim[slot]
        slot = grammar.pick(rng, [slot for slot in ATTRIBUTES if slot not in truth])
        claim[slot] = grammar.pick(rng, VALUES[slot])
    elif label:
        claim[slot] = grammar.pick(rng, [value for value in VALUES[slot] if value != truth[slot]])
    return premise, grammar.state(claim, rng, avoid=premise)


def _about_two(rng: random.Random, split: str, label: int) -> tuple[str, str]:
    """Premise about two restaurants with nothing in common, hypothesis about one of them."""
    while True:
        first = grammar.draw_meaning(rng, split, 2)
        others = {slot: [value for value in VALUES[slot] if value != first[slot]] for slot in first}
        second = {slot: grammar.pick(rng, values) for slot, values in others.items()}
        if grammar.split_of(second) == split:
            break
    premise = grammar.contrast(first, second, rng)
    claim = _subset(first, rng)
    if label:
        slot = pick_attribute(claim, rng)
        claim[slot] = second[slot]
    return premise, grammar.state(claim, rng, avoid=premise)


def _subset(meaning: Meaning, rng: random.Random) -> Meaning:
    """The name and one or two of the attributes."""
    attributes = grammar.shuffled(rng, [slot for slot in meaning if slot != "name"])
    kept = attributes[: 1 + int(rng.random() * 2)]
    return {slot: value for slot, value in meaning.items() if slot == "name" or slot in kept}


def pick_attribute(meaning: Meaning, rng: random.Random) -> str:
    """One of the attributes that a meaning has."""
    return grammar.pick(rng, [slot for slot in meaning if slot != "name"])
