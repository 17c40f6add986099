"""What systems are compared with: a system, a cut of it, or the best of its cuts on each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from dylora.errors import InputError
from dylora.rank_curve.direction import higher_is_better
from dylora.report.curves import Curves
from dylora.report.names import best_cut_of, find_name


@dataclass(frozen=True)
class Reference:
    """What systems are compared with.

    Attributes:
        label: How tables call it.
        curves: Its curves on each task.
        notes: How it was chosen.
    """

    label: str
    curves: Mapping[str, Curves]
    notes: list[str] = field(default_factory=list)


def find_reference(curves: Sequence[Curves], given: str, tuning: Sequence[Curves] = ()) -> Reference:
    """The reference that a word of the command line means.

    Args:
        curves: All systems and cuts.
        given: `lora`, `lora/svd`, or `lora/best`: of each task, for all seeds, the cut of the largest area under the
            mean rank curve, of those that train nothing (`lora/learned` has to be named).
        tuning: Curves of runs on held-out training examples, where the best cut is chosen if they have its figures.

    Raises:
        InputError: If there is no such system or cut.
    """
    system = best_cut_of(curves, given)
    if system is not None:
        return _best_cut(curves, system, tuning)
    name = find_name(curves, given, "--against")
    own = {c.task: c for c in curves if (c.system, c.cut) == name}
    return Reference(next(iter(own.values())).label, own)


def _best_cut(curves: Sequence[Curves], system: str, tuning: Sequence[Curves]) -> Reference:
    own = [c for c in curves if c.system == system and c.cut != "learned"]
    if not any(c.cut for c in own):
        fix = f"give --against {system}, or name cuts in the sweep file"
        raise InputError("--against", "a system that was evaluated under cuts", repr(system), fix)
    chosen, notes = {}, []
    for task in dict.fromkeys(c.task for c in own):
        cuts = {c.cut: c for c in own if c.task == task}
        tuned = {c.cut: c for c in tuning if (c.system, c.task) == (system, task) and c.cut in cuts}
        judged = tuned if any(tuned) else cuts
        best = max(judged, key=lambda cut: _area(judged[cut]))
        chosen[task] = cuts[best]
        where = "on the tuning runs" if judged is tuned else "on the figures compared here, which favours it"
        notes.append(f"Best cut of {system} on {task}: {best or 'as trained'}, by AURAC {where}")
    label = next((c.label for c in own if not c.cut), system)
    return Reference(f"{label}, best cut", chosen, notes)


def _area(curves: Curves) -> float:
    values = curves.pick(curves.monitor, "aurac").values
    sign = 1 if higher_is_better(curves.monitor) else -1
    return sign * fmean(values) if values else float("-inf")
