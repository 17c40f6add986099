"""Ranks as they are written on the command line."""

import re

from dylora.adapters.ranks import RankRange
from dylora.errors import InputError

_MOST_SHOWN = 60
_FORMS = "one rank (3), several (1,4,8), a range (2-5) or all"


def parse_ranks(spec: str, ranks: RankRange, option: str = "--rank") -> tuple[int, ...]:
    """The ranks that a text asks for, ascending and without repeats.

    Args:
        spec: One rank (`3`), several (`1,4,8`), a range with both ends (`2-5`), a mix (`1,4-6`), or `all`. A range
            takes those of the adapter's ranks that lie inside it.
        ranks: The ranks of the adapter.
        option: Name of the option that the text was given for.

    Raises:
        InputError: If the text has another form, or names a rank outside the adapter's.

    >>> parse_ranks("1,4-6", RankRange(1, 8))
    (1, 4, 5, 6)
    """
    if spec.strip() == "all":
        return tuple(ranks)
    asked: set[int] = set()
    for part in spec.split(","):
        asked.update(_parse_part(part.strip(), spec, ranks, option))
    return tuple(sorted(asked))


def _parse_part(part: str, spec: str, ranks: RankRange, option: str) -> list[int]:
    if not (match := re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part)):
        given = repr(spec if len(spec) <= _MOST_SHOWN else f"{spec[:_MOST_SHOWN]}…")
        raise InputError(option, _FORMS, given, f"this adapter has ranks {_written(ranks)}")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise InputError(option, "a range from low to high", repr(spec), f"write {last}-{first}")
    for rank in (first, last):
        if not ranks.min_rank <= rank <= ranks.max_rank:
            raise InputError(option, f"among the adapter's ranks {_written(ranks)}", rank, "choose one of them")
    inside = [rank for rank in ranks if first <= rank <= last]
    if not inside:
        raise InputError(option, f"among the adapter's ranks {_written(ranks)}", repr(part), "choose one of them")
    return inside


def _written(ranks: RankRange) -> str:
    if ranks.rank_step == 1:
        return f"{ranks.min_rank} to {ranks.max_rank}"
    return ", ".join(map(str, ranks))
