"""Which facts of its input a text about a restaurant states, told by the wordings of the grammar."""

import re
from collections import defaultdict
from functools import cache

from dylora.data.sources import grammar


def stated(text: str) -> dict[str, set[str]]:
    """The values of each attribute whose wordings occur in a text; where wordings overlap, the longest counts.

    >>> found = stated("The Mill is not cheap and lies outside the city centre.")
    >>> found == {"name": {"The Mill"}, "priceRange": {"high"}, "area": {"suburbs"}}
    True
    """
    pattern, meant = _wordings()
    found: dict[str, set[str]] = defaultdict(set)
    for match in pattern.finditer(text):
        slot, value = meant[match[0].lower()]
        found[slot].add(value)
    return dict(found)


def slot_accuracy(source: str, text: str) -> float:
    """The share of the values of an input that a text states, and contradicts by no other value of the same attribute.

    Args:
        source: A record as it is shown to the model: `name : The Mill | food : Italian`.
        text: The generated text.

    Returns:
        From 0 to 1; 1 for an input without any value.

    >>> slot_accuracy("name : The Mill | food : Italian | area : harbour", "The Mill serves pizza by the river.")
    0.6666666666666666
    """
    parts = [part.partition(" : ") for part in source.split(" | ")]
    wanted = [(slot, value) for slot, sign, value in parts if sign]
    said = stated(text)
    return sum(said.get(slot) == {value} for slot, value in wanted) / len(wanted) if wanted else 1.0


@cache
def _wordings() -> tuple[re.Pattern[str], dict[str, tuple[str, str]]]:
    """A pattern of all wordings, the longest first, and what each means in lower case."""
    meant = {value.lower(): (slot, value) for slot in ("name", "near") for value in grammar.VALUES[slot]}
    for slot in (slot for slot in grammar.ATTRIBUTES if slot != "near"):
        for value in grammar.VALUES[slot]:
            for wording in grammar.clauses(slot, value):
                bare = re.sub(r"^(?:is an?|is|lies) ", "", wording)
                meant[bare.lower()] = (slot, value)
                meant[wording.lower()] = (slot, value)
    for food in grammar.VALUES["food"]:
        meant[food.lower()] = ("food", food)
    ordered = sorted(meant, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, ordered)) + r")(?!\w)", re.IGNORECASE), meant
