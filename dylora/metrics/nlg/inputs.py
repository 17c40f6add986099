"""What every text metric is given, and the one check of it."""

from collections.abc import Sequence

from dylora.errors import InputError

References = Sequence[Sequence[str]]
"""For each item, its references: at least one, not necessarily as many for every item."""


def check_texts(hypotheses: Sequence[str], references: References) -> None:
    """Refuses what cannot be scored.

    Args:
        hypotheses: One text an item; an empty text is a hypothesis like any other.
        references: The references of each item.

    Raises:
        InputError: No item at all, other numbers of hypotheses and references, or an item without a reference.
    """
    if not hypotheses and not references:
        raise InputError("hypotheses", "one text an item, at least one item", "none", "generate or read some first")
    if len(hypotheses) != len(references):
        raise InputError(
            "references",
            f"one list an item, as many as the {len(hypotheses)} hypotheses",
            len(references),
            "make the two files the same set, item by item",
        )
    for number, texts in enumerate(references, start=1):
        if isinstance(texts, str) or not texts:
            raise InputError(
                "references",
                "a list of at least one reference for every item",
                f"{texts!r} for item {number}",
                "leave out items that nobody wrote a reference for",
            )
