"""A record written as one line of text, as the LoRA code base does."""

from collections.abc import Iterable, Sequence


def linearise(facts: Iterable[Sequence[str]]) -> str:
    """The facts of a record, each one's parts set off by ` : ` and the facts by ` | `.

    Args:
        facts: (key, value) pairs or (subject, relation, object) triples.

    >>> linearise([("name", "Blue Spice"), ("area", "city centre")])
    'name : Blue Spice | area : city centre'
    """
    return " | ".join(" : ".join(parts) for parts in facts)
