"""A text states the facts that the grammar says in its words, and no other."""

import random
from itertools import pairwise

import pytest

from dylora.data.sources import embedded, grammar
from dylora.data.sources.restaurants import EmbeddedSource
from dylora.data.sources.stated import slot_accuracy, stated


@pytest.mark.parametrize("split", grammar.SPLITS)
def test_every_reference_states_its_meaning_and_nothing_else(split):
    for entry in EmbeddedSource().entries(split):
        for text in entry.texts:
            assert slot_accuracy(entry.source, text) == 1, (entry.source, text)
    rng = random.Random(0)
    for _ in range(200):
        meaning = grammar.draw_meaning(rng, split, 5)
        assert stated(grammar.describe(meaning, rng)) == {slot: {value} for slot, value in meaning.items()}


def test_a_text_of_another_meaning_states_little_of_it():
    entries = EmbeddedSource().entries("test")
    shares = [slot_accuracy(a.source, b.texts[0]) for a, b in pairwise(entries)]
    assert 0.1 < sum(shares) / len(shares) < 0.4
    assert len(entries) == embedded.TABLE_TO_TEXT_SIZES["test"]


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("The Mill is a cheap pub.", 1),
        ("The Mill is a pub.", 2 / 3),
        ("The Mill is a pub that is not cheap.", 2 / 3),
        ("The Mill is a cheap, expensive pub.", 2 / 3),  # contradicts itself
        ("Café Aurora is a cheap pub.", 2 / 3),  # its name is no coffee shop
        ("", 0),
    ],
)
def test_the_share_of_the_values_that_are_stated(text, share):
    assert slot_accuracy("name : The Mill | eatType : pub | priceRange : cheap", text) == pytest.approx(share)
