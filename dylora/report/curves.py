"""The runs of a system on a task as one thing: for each seed a curve over the ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from dylora.rank_curve.direction import higher_is_better, printed_scale
from dylora.rank_curve.summary import aurac
from dylora.report.results import Result, groups
from dylora.runs.folders import cut_file

Pick = int | Literal["mean", "aurac", "best", "full"]
"""Which figure of a curve: that of a rank, the mean or the area over the ranks, the best rank's, the only one."""


@dataclass(frozen=True)
class Picked:
    """A figure of each seed.

    Attributes:
        values: One for each seed, on the paper's scale.
        ranks: The ranks that they are of, where they were chosen.
    """

    values: tuple[float, ...] = ()
    ranks: tuple[int, ...] = ()


@dataclass
class Curves:
    """All seeds of one system, under one cut, on one task.

    Attributes:
        system: Name of the system.
        cut: Name of the cut; empty for the figures of the training run itself.
        label: How tables call the two.
        task: Name of the task.
        monitor: The metric that the runs go by.
        by_metric: A metric, then a seed, then a rank, then the value on the paper's scale.
        seconds: Time of each seed's training; of a system trained once per rank, that of each rank.
        runs: The runs of each seed; of a system trained once per rank, one for each rank.
    """

    system: str
    cut: str
    label: str
    task: str
    monitor: str
    by_metric: dict[str, dict[int, dict[int, float]]] = field(default_factory=dict)
    seconds: dict[int, dict[int, float]] = field(default_factory=dict)
    runs: dict[int, list[Result]] = field(default_factory=dict)

    def ranks(self, metric: str) -> list[int]:
        """All ranks that any seed has."""
        return sorted({rank for curve in self.by_metric.get(metric, {}).values() for rank in curve})

    def pick(self, metric: str, which: Pick, most: int | None = None) -> Picked:
        """A figure of each seed.

        The mean and the area are those of seeds that have every rank. The best rank is that of the mean over seeds.

        Args:
            metric: The metric.
            which: Which figure.
            most: Leave ranks above this one out.
        """
        seeds = self._up_to(metric, most)
        ranks = sorted({rank for curve in seeds for rank in curve})
        if not ranks:
            return Picked()
        if which == "best":
            mean = {rank: fmean(curve[rank] for curve in seeds if rank in curve) for rank in ranks}
            best = max(ranks, key=lambda rank: mean[rank] * self._sign(metric))
            return Picked(tuple(curve[best] for curve in seeds if best in curve), (best,))
        if which == "full":
            return Picked(tuple(curve[max(curve)] for curve in seeds))
        if isinstance(which, int):
            return Picked(tuple(curve[which] for curve in seeds if which in curve))
        complete = [curve for curve in seeds if len(curve) == len(ranks)]
        summary = aurac if which == "aurac" else (lambda curve: fmean(curve.values()))
        return Picked(tuple(summary(curve) for curve in complete))

    def best_of_each(self, metric: str, most: int | None = None) -> Picked:
        """The best figure of each seed, with its rank: what a search that tries every rank finds."""
        chosen = []
        for curve in self._up_to(metric, most):
            rank = max(sorted(curve), key=lambda rank: curve[rank] * self._sign(metric))
            chosen.append((curve[rank], rank))
        return Picked(tuple(value for value, _ in chosen), tuple(rank for _, rank in chosen))

    def training_seconds(self, most: int | None = None) -> tuple[float, ...]:
        """Time of the training of each seed; of a system trained once per rank, that of all ranks together."""
        return tuple(
            sum(time for rank, time in times.items() if most is None or rank <= most) for times in self.seconds.values()
        )

    def _up_to(self, metric: str, most: int | None) -> list[dict[int, float]]:
        curves = [
            {rank: value for rank, value in curve.items() if most is None or rank <= most}
            for _, curve in sorted(self.by_metric.get(metric, {}).items())
        ]
        return [curve for curve in curves if curve]

    @staticmethod
    def _sign(metric: str) -> int:
        return 1 if higher_is_better(metric) else -1


def build_curves(results: Sequence[Result]) -> tuple[list[Curves], list[str]]:
    """The curves of all systems, and a note for each seed that lacks a rank that another one has."""
    found: list[Curves] = []
    for (system, task), same in groups(results, lambda r: (r.record.system, r.record.task)).items():
        label = same[0].record.label
        cuts = list(dict.fromkeys(cut for result in same for cut in result.figures))
        for cut in cuts:
            name = f"{label}, cut {cut}" if cut else label
            curves = Curves(system, cut, name, task, same[0].monitor)
            for result in same:
                _add(curves, result, cut)
            found.append(curves)
    return found, [note for curves in found for note in _missing_ranks(curves)]


def without_repeats(curves: Sequence[Curves]) -> list[Curves]:
    """Leave out a training run's own figures where a cut has the same ones: that of its own scaling."""
    return [c for c in curves if c.cut or not any(is_same(c, other) for other in curves if other.cut)]


def without_aliases(curves: Sequence[Curves]) -> list[Curves]:
    """Leave out a run's own figures under the name of its scaling, where that cut was not evaluated by itself."""
    own = [c for c in curves if not c.cut]
    return [c for c in curves if not c.cut or _was_evaluated(c) or not any(is_same(each, c) for each in own)]


def _was_evaluated(curves: Curves) -> bool:
    return any(cut_file(run.folder, curves.cut).is_file() for runs in curves.runs.values() for run in runs)


def is_same(own: Curves, cut: Curves) -> bool:
    """Whether no printed digit tells a training run's own figures and those of a cut of it apart."""
    if (own.system, own.task) != (cut.system, cut.task):
        return False
    ours, theirs = own.by_metric.get(own.monitor, {}), cut.by_metric.get(own.monitor, {})
    if [(seed, sorted(curve)) for seed, curve in ours.items()] != [(s, sorted(curve)) for s, curve in theirs.items()]:
        return False
    return all(abs(value - theirs[seed][rank]) < 0.005 for seed, c in ours.items() for rank, value in c.items())


def _add(curves: Curves, result: Result, cut: str) -> None:
    seed = result.record.seed
    curves.runs.setdefault(seed, []).append(result)
    curves.seconds.setdefault(seed, {})[result.record.rank or 0] = result.record.seconds
    for metric, values in result.figures.get(cut, {}).items():
        curve = curves.by_metric.setdefault(metric, {}).setdefault(seed, {})
        curve |= {rank: printed_scale(metric, value) for rank, value in values.items()}


def _missing_ranks(curves: Curves) -> list[str]:
    notes = []
    ranks = curves.ranks(curves.monitor)
    for seed, curve in sorted(curves.by_metric.get(curves.monitor, {}).items()):
        if missing := [str(rank) for rank in ranks if rank not in curve]:
            what = f"{curves.system}{f' cut {curves.cut}' if curves.cut else ''} {curves.task} seed {seed}"
            word = "rank" if len(missing) == 1 else "ranks"
            notes.append(f"{what} lacks {word} {', '.join(missing)}: not in its mean and AURAC")
    return notes
