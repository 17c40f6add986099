"""The restaurant grammar: deterministic, several wordings a meaning, one split a combination."""

import random

import pytest

from dylora.data.sources import grammar

MEANING = {"name": "The Mill", "food": "Italian", "priceRange": "cheap", "area": "riverside"}


def test_meaning_is_written_in_e2e_style_and_slot_order():
    scrambled = dict(reversed(MEANING.items()))
    assert grammar.meaning_text(scrambled) == "name[The Mill], food[Italian], priceRange[cheap], area[riverside]"


def test_description_depends_on_the_seed_alone():
    def texts(seed):
        rng = random.Random(seed)
        return [grammar.describe(MEANING, rng) for _ in range(20)]

    assert texts(5) == texts(5)
    assert texts(5) != texts(6)


def test_meaning_has_many_descriptions():
    rng = random.Random(0)
    assert len({grammar.describe(MEANING, rng) for _ in range(100)}) > 80


@pytest.mark.parametrize("slot", grammar.ATTRIBUTES)
def test_no_wording_says_two_values_of_a_slot(slot):
    wordings = [clause for value in grammar.VALUES[slot] for clause in grammar.clauses(slot, value)]
    assert len(wordings) == len(set(wordings))
    for value in grammar.VALUES[slot]:
        assert len(grammar.clauses(slot, value)) >= 2


def test_description_says_every_attribute_once():
    rng = random.Random(1)
    rivers = ("by the river", "on the riverside", "on the bank of the river")
    for _ in range(100):
        text = grammar.describe(MEANING, rng)
        assert "The Mill" in text
        assert sum(text.lower().count(river) for river in rivers) == 1
        assert sum(text.count(word) for word in ("Italian", "pasta", "pizza")) == 1


def test_statement_avoids_the_wording_of_the_other_text():
    rng = random.Random(2)
    for _ in range(50):
        statement = grammar.state({"name": "Blue Door", "eatType": "pub"}, rng, avoid="Blue Door is a pub.")
        assert statement == "Blue Door is an inn."


def test_split_ignores_the_name():
    assert grammar.split_of(MEANING) == grammar.split_of({**MEANING, "name": "Casa Luna"})


@pytest.mark.parametrize("split", grammar.SPLITS)
@pytest.mark.parametrize("size", [2, 5, 7])
def test_drawn_meaning_is_of_the_split_and_size(split, size):
    rng = random.Random(4)
    for _ in range(20):
        meaning = grammar.draw_meaning(rng, split, size)
        assert grammar.split_of(meaning) == split
        assert len(meaning) == size + 1
        assert list(meaning) == [slot for slot in grammar.SLOTS if slot in meaning]


def test_draws_are_the_same_in_every_python_version():
    rng = random.Random("pinned")
    assert [grammar.pick(rng, range(100)) for _ in range(5)] == [36, 90, 59, 69, 52]
    assert grammar.shuffled(rng, "abcde") == list("badce")
