"""How a system, or a cut of it, is named on the command line."""

import difflib
import re
from collections.abc import Sequence

from dylora.errors import InputError
from dylora.report.curves import Curves

Name = tuple[str, str]
"""A system and a cut; an empty cut means the figures of the training run itself."""
ALL_CUTS = "*"
BEST_CUT = "best"


def find_name(curves: Sequence[Curves], given: str, option: str) -> Name:
    """The system and cut that a word of the command line means.

    `lora` is the system as it was trained, `lora/svd` its cut, `lora_svd` the same where nothing else is called so.

    Args:
        curves: All systems and cuts that there are.
        given: The word.
        option: The option that it was given to.

    Raises:
        InputError: If there is no such system or cut, or the word means several.
    """
    names = {_written(name): name for name in _all(curves)}
    if given in names:
        return names[given]
    found = [name for name in names if _plain(name) == _plain(given)]
    if len(found) > 1:
        raise InputError(
            option, "the name of one system", f"{given!r}, which may be {' or '.join(found)}", "choose one"
        )
    if not found:
        near = difflib.get_close_matches(given, names, 1)
        fix = f"did you mean {near[0]}?" if near else "choose one of them"
        raise InputError(option, "among the systems and cuts of the runs: " + ", ".join(names), repr(given), fix)
    return names[found[0]]


def best_cut_of(curves: Sequence[Curves], given: str) -> str | None:
    """The system whose best cut a word means, `lora/best` or `lora_best_cut`; None if it means another thing."""
    names = _all(curves)
    if any(_plain(_written(name)) == _plain(given) for name in names):
        return None
    meant = re.fullmatch(rf"(.+?)_{BEST_CUT}(_cut)?", _plain(given))
    return next((system for system, _ in names if meant and _plain(system) == meant[1]), None)


def select(curves: Sequence[Curves], given: str) -> list[Curves]:
    """The curves of some systems, in the order in which they are named.

    Args:
        curves: All.
        given: Names with commas between them, `dylora,lora/svd`; `lora/*` is all cuts of a system.

    Raises:
        InputError: If there is no such system or cut.
    """
    wanted: list[Name] = []
    for word in filter(None, map(str.strip, given.split(","))):
        system = word.removesuffix(f"/{ALL_CUTS}")
        name = find_name(curves, system, "--systems")
        wanted += [n for n in _all(curves) if n[0] == name[0] and n[1]] if word != system else [name]
    if not wanted:
        raise InputError("--systems", "names of systems with commas between them", repr(given), "leave it out for all")
    return [c for name in dict.fromkeys(wanted) for c in curves if (c.system, c.cut) == name]


def _all(curves: Sequence[Curves]) -> list[Name]:
    return list(dict.fromkeys((c.system, c.cut) for c in curves))


def _written(name: Name) -> str:
    return f"{name[0]}/{name[1]}" if name[1] else name[0]


def _plain(name: str) -> str:
    """Letters and digits, whatever stands between them."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())
