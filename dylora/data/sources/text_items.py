"""What a table-to-text set is made of: entries as the files have them, items as they are scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One record of a file.

    Attributes:
        source: The record as one line of text, the prompt that the model is shown.
        texts: Texts that say it, as they are trained on; none in a file without references.
        tags: What results are split by, such as `{"seen": "U"}`.
        rejected: Texts that the set's makers mark as faulty; counted, never used.
        rank: The rank that it is to be predicted at; None for every asked one.
    """

    source: str
    texts: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()
    rank: int | None = None


@dataclass(frozen=True)
class Item:
    """One prompt to generate from and score: all entries with the same source (and rank) together.

    Attributes:
        source: The prompt as it is shown to the model, without the separator token.
        references: Texts to compare with, none of them empty; none at all in a file without references.
        tags: What results are split by, such as `{"seen": "S"}` or `{"seen": "U"}` for WebNLG; else empty.
        rank: The rank that it is to be predicted at; None for every asked one.
    """

    source: str
    references: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    rank: int | None = field(default=None, repr=False)


def linearise(facts: Iterable[Sequence[str]]) -> str:
    """A record as one line: the parts of a fact set off by ` : `, the facts by ` | `, as in the LoRA code base.

    Args:
        facts: (key, value) pairs or (subject, relation, object) triples.

    >>> linearise([("name", "Blue Spice"), ("area", "city centre")])
    'name : Blue Spice | area : city centre'
    """
    return " | ".join(" : ".join(parts) for parts in facts)


def pairs(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """Every text with its source, in the order of the file: the rows that are trained on.

    >>> pairs([Entry("a : b : c", ("x", "y")), Entry("d : e : f", ())])
    [('a : b : c', 'x'), ('a : b : c', 'y')]
    """
    return [(entry.source, text) for entry in entries for text in entry.texts]


def group(entries: Iterable[Entry], most: int | None = None) -> list[Item]:
    """Items in the order in which their sources first appear; an entry whose texts are all faulty makes none.

    Args:
        entries: The entries of a split.
        most: Largest number of references, the first ones; none keeps all. An empty text counts here, since the
            published code counts it, and is dropped afterwards.

    >>> group([Entry("a", ("x",)), Entry("b", ("y",)), Entry("a", ("", "z"))], most=2)
    [Item(source='a', references=('x',), tags={}), Item(source='b', references=('y',), tags={})]
    """
    found: dict[tuple[str, int | None], list[str]] = {}
    tags: dict[str, Mapping[str, str]] = {}
    for entry in entries:
        if entry.texts or not entry.rejected:
            found.setdefault((entry.source, entry.rank), []).extend(entry.texts)
            tags.setdefault(entry.source, entry.tags)
    return [Item(source, _scored(texts[:most]), tags[source], rank) for (source, rank), texts in found.items()]


def _scored(texts: list[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if text.strip())
