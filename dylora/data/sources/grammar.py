"""A small grammar of restaurant descriptions: meaning representations and the English that says them.

A *meaning* maps slots to values, `{"name": "The Mill", "food": "Italian", "area": "riverside"}`; the name is always
there, the other slots are optional. The grammar says a meaning in two ways:

    description  -> opening follow-up*
    opening      -> name "is" phrase | "There is" phrase "called" name | place "you will find" name "," phrase | ...
    phrase       -> article adjective* [food] noun place*
    follow-up    -> subject clause ["and" clause] "."
    statement    -> subject clause ("," clause)* ["and" clause] "."

An adjective, noun, place or clause says one slot; each value has several wordings that share few words ("welcomes
children", "is good for families"), and some values share words ("on the edge of town", "in the middle of town"), so
that comparing bags of words says little about comparing meanings.

Everything is a pure function of its arguments and of the `random.Random` handed in. Only `Random.random` is called: it
is the one method whose sequence Python promises to keep from version to version.
"""

import random
import zlib
from collections.abc import Sequence
from typing import TypeVar

Meaning = dict[str, str]
T = TypeVar("T")

SPLITS = ("train", "validation", "test")

VALUES: dict[str, tuple[str, ...]] = {
    "name": (
        "The Mill",
        "The Golden Lion",
        "Blue Door",
        "Café Aurora",
        "The Copper Pot",
        "Green Olive",
        "The Old Barn",
        "Silver Spoon",
        "The Lantern",
        "Red Rooster",
        "The Wild Goose",
        "Casa Luna",
    ),
    "eatType": ("restaurant", "pub", "coffee shop"),
    "food": ("Italian", "French", "Indian", "Japanese", "Chinese", "Mexican", "Greek", "English"),
    "priceRange": ("cheap", "moderate", "high"),
    "customer rating": ("low", "average", "high"),
    "area": ("riverside", "city centre", "suburbs", "harbour"),
    "familyFriendly": ("yes", "no"),
    "near": ("Central Station", "Park Hotel", "City Museum", "The Grand Theatre", "Market Hall", "St Mary's Church"),
}
SLOTS = tuple(VALUES)
ATTRIBUTES = SLOTS[1:]

_DISHES = {
    "Italian": ("pasta", "pizza"),
    "French": ("onion soup", "crêpes"),
    "Indian": ("curry", "naan bread"),
    "Japanese": ("sushi", "ramen"),
    "Chinese": ("dumplings", "fried rice"),
    "Mexican": ("tacos", "burritos"),
    "Greek": ("moussaka", "souvlaki"),
    "English": ("roast beef", "fish pie"),
}
_NOUNS = {
    "restaurant": ("restaurant", "diner"),
    "pub": ("pub", "inn"),
    "coffee shop": ("coffee shop", "café"),
}
_ADJECTIVES: dict[str, dict[str, tuple[str, ...]]] = {
    "priceRange": {
        "cheap": ("cheap", "inexpensive"),
        "moderate": ("affordable", "mid-priced"),
        "high": ("expensive", "upmarket"),
    },
    "customer rating": {
        "low": ("disappointing", "unpopular"),
        "average": ("decent", "middling"),
        "high": ("excellent", "popular"),
    },
    "familyFriendly": {
        "yes": ("family-friendly", "child-friendly"),
        "no": ("adults-only", "grown-up"),
    },
}
_PLACES = {
    "riverside": ("by the river", "on the riverside", "on the bank of the river"),
    "city centre": ("in the city centre", "in the middle of town", "in the heart of the city"),
    "suburbs": ("in the suburbs", "on the edge of town", "outside the city centre"),
    "harbour": ("at the harbour", "by the sea", "on the waterfront"),
}
_CLAUSES: dict[str, dict[str, tuple[str, ...]]] = {
    "priceRange": {
        "cheap": ("has low prices", "costs less than £20", "will not cost you much"),
        "moderate": ("has average prices", "costs about £25", "is neither cheap nor expensive"),
        "high": ("has high prices", "costs more than £30", "is not cheap"),
    },
    "customer rating": {
        "low": ("has a low rating", "gets one star out of five", "is disliked by its guests"),
        "average": ("has an average rating", "gets three stars out of five", "divides its guests"),
        "high": ("has a high rating", "gets five stars out of five", "is loved by its guests"),
    },
    "familyFriendly": {
        "yes": ("welcomes children", "is good for families", "has a playground for kids"),
        "no": ("does not welcome children", "is not good for families", "has nothing for kids"),
    },
}
_FOOD_CLAUSES = ("serves {} food", "offers {} dishes")
_DISH_CLAUSES = ("serves {}", "is known for its {}")
_PLACE_CLAUSES = ("is {}", "lies {}")
_NEAR_PLACES = ("near {}", "close to {}", "next to {}")


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One item, each with the same chance."""
    return items[int(rng.random() * len(items))]


def shuffled(rng: random.Random, items: Sequence[T]) -> list[T]:
    """The items in random order."""
    return [items[i] for i in sorted(range(len(items)), key=[rng.random() for _ in items].__getitem__)]


def meaning_text(meaning: Meaning) -> str:
    """Write a meaning in the style of the E2E challenge.

    >>> meaning_text({"name": "The Mill", "food": "Italian", "area": "riverside"})
    'name[The Mill], food[Italian], area[riverside]'
    """
    return ", ".join(f"{slot}[{meaning[slot]}]" for slot in SLOTS if slot in meaning)


def split_of(meaning: Meaning) -> str:
    """The one split that may use this combination of attributes, whatever the restaurant's name.

    A hash of the combination decides: 70 % train, 15 % validation, 15 % test.
    """
    attributes = {slot: value for slot, value in meaning.items() if slot != "name"}
    bucket = zlib.crc32(meaning_text(attributes).encode()) % 20
    return "train" if bucket < 14 else "validation" if bucket < 17 else "test"


def draw_meaning(rng: random.Random, split: str, size: int) -> Meaning:
    """Draw a meaning whose combination of attributes belongs to a split.

    Args:
        rng: Source of randomness.
        split: `train`, `validation` or `test`.
        size: Number of attributes besides the name, 2 to 7.
    """
    while True:
        chosen = set(shuffled(rng, ATTRIBUTES)[:size])
        meaning = {slot: pick(rng, VALUES[slot]) for slot in SLOTS if slot == "name" or slot in chosen}
        if split_of(meaning) == split:
            return meaning


def places(slot: str, value: str) -> list[str]:
    """The adverbials that say `area` or `near`."""
    return [place.format(value) for place in _NEAR_PLACES] if slot == "near" else list(_PLACES[value])


def clauses(slot: str, value: str) -> list[str]:
    """Every verb phrase that says one attribute, to be put after a subject in the singular.

    >>> clauses("familyFriendly", "yes")[:2]
    ['is family-friendly', 'is child-friendly']
    """
    if slot == "eatType":
        return [f"is {with_article(noun)}" for noun in _NOUNS[value]]
    if slot == "food":
        named = [clause.format(value) for clause in _FOOD_CLAUSES]
        return named + [clause.format(dish) for clause in _DISH_CLAUSES for dish in _DISHES[value]]
    if slot in ("area", "near"):
        return [clause.format(place) for place in places(slot, value) for clause in _PLACE_CLAUSES]
    return [f"is {adjective}" for adjective in _ADJECTIVES[slot][value]] + list(_CLAUSES[slot][value])


def with_article(phrase: str) -> str:
    """Put the indefinite article before a noun phrase.

    >>> with_article("inn"), with_article("cheap inn")
    ('an inn', 'a cheap inn')
    """
    return f"{'an' if phrase[0] in 'aeiouAEIOU' else 'a'} {phrase}"


def describe(meaning: Meaning, rng: random.Random) -> str:
    """Say a whole meaning, each attribute once, in one to four sentences.

    Args:
        meaning: The meaning, with its name.
        rng: Chooses the words, the order and which attributes share a sentence.
    """
    inside = {slot for slot in meaning if slot not in ("name", "eatType") and rng.random() < 0.5}
    opening = _opening(meaning, inside, rng)
    rest = [slot for slot in shuffled(rng, ATTRIBUTES) if slot in meaning and slot not in inside | {"eatType"}]
    sentences = [opening]
    while rest:
        count = 1 + int(rng.random() * 2)
        said = [pick(rng, clauses(slot, meaning[slot])) for slot in rest[:count]]
        subject = pick(rng, ("It", "The place", meaning["name"]))
        sentences.append(f"{subject} {' and '.join(said)}.")
        rest = rest[count:]
    return " ".join(sentences)


def _opening(meaning: Meaning, inside: set[str], rng: random.Random) -> str:
    """The first sentence: the name, the kind of place and the attributes in `inside`."""
    name = meaning["name"]
    phrase = with_article(_phrase(meaning, inside, rng))
    where = [pick(rng, places(slot, meaning[slot])) for slot in ("area", "near") if slot in inside]
    if where and rng.random() < 0.3:
        first = " ".join(where)
        return f"{first[0].upper()}{first[1:]} you will find {name}, {phrase}."
    frame = pick(rng, ("{name} is {phrase}", "There is {phrase} called {name}", "{name}, {phrase}, is open"))
    return " ".join([frame.format(name=name, phrase=phrase), *where]) + "."


def _phrase(meaning: Meaning, inside: set[str], rng: random.Random) -> str:
    """Adjectives, food and noun, without the article."""
    adjectives = [pick(rng, words[meaning[slot]]) for slot, words in _ADJECTIVES.items() if slot in inside]
    food = [meaning["food"]] if "food" in inside else []
    noun = pick(rng, _NOUNS[meaning["eatType"]]) if "eatType" in meaning else "place to eat"
    return " ".join([*shuffled(rng, adjectives), *food, noun])


def state(meaning: Meaning, rng: random.Random, avoid: str = "") -> str:
    """Say a meaning in one flat sentence, in words that another text does not use.

    Args:
        meaning: One or more attributes, and the name as the subject; "It" where there is no name.
        rng: Chooses the words and the order.
        avoid: A text whose wordings of the attributes are left out where another is to be had.
    """
    said = []
    for slot in shuffled(rng, [slot for slot in ATTRIBUTES if slot in meaning]):
        options = clauses(slot, meaning[slot])
        fresh = [clause for clause in options if clause.split(" ", 1)[1] not in avoid]
        said.append(pick(rng, fresh or options))
    return sentence(meaning.get("name", "It"), said)


def wordings(meaning: Meaning, rng: random.Random) -> dict[str, str]:
    """A clause for each attribute of a meaning, the attributes in random order."""
    attributes = shuffled(rng, [slot for slot in ATTRIBUTES if slot in meaning])
    return {slot: pick(rng, clauses(slot, meaning[slot])) for slot in attributes}


def sentence(subject: str, said: Sequence[str]) -> str:
    """Clauses behind one subject.

    >>> sentence("The Mill", ["is cheap", "is an inn", "serves pizza"])
    'The Mill is cheap, is an inn and serves pizza.'
    """
    listed = ", ".join(said[:-1]) + (" and " if said[:-1] else "") + said[-1]
    return f"{subject} {listed}."
