"""One line a run: how it ended, how far the whole is, how long it will take."""

from collections.abc import Sequence
from statistics import fmean

from dylora.runs.record import RunRecord
from dylora.sweep.expansion import Run


class Progress:
    """Count finished runs and estimate the rest.

    Args:
        runs: All runs of the sweep.
        jobs: How many run at a time.
    """

    def __init__(self, runs: Sequence[Run], jobs: int = 1) -> None:
        self.left = [run.task for run in runs]
        self.total = len(runs)
        self.jobs = jobs
        self._times: dict[str, list[float]] = {}

    def skip(self, run: Run, record: RunRecord) -> None:
        """Count a run that was finished before; its time helps to estimate the others'."""
        self.left.remove(run.task)
        self._count(record)

    def line(self, run: Run, record: RunRecord) -> str:
        """What to say of a run that has just ended."""
        self.left.remove(run.task)
        if record.status == "finished":
            self._count(record)
        done = self.total - len(self.left)
        words = f"[{done:>{len(str(self.total))}}/{self.total}] {record.title}: {record.status}"
        words += f" after {duration(record.seconds + record.evaluation_seconds)}"
        if record.error:
            words += f" ({record.error})"
        left = self.seconds_left()
        return words if left is None else f"{words}; {duration(left)} left"

    def state(self, runs: Sequence[Run]) -> str:
        """What is under way.

        Args:
            runs: Those that have not ended, in their order.
        """
        done = self.total - len(self.left)
        title = runs[0].record().title if self.jobs == 1 and runs else f"{min(self.jobs, len(runs))} runs at a time"
        left = self.seconds_left()
        return f"[{done + 1}/{self.total}] {title}: running" + ("" if left is None else f"; {duration(left)} left")

    def seconds_left(self) -> float | None:
        """The time that is left: each run takes the mean of its task's finished runs, or of all; None if unknown."""
        if not self.left or not self._times:
            return None
        overall = fmean(time for times in self._times.values() for time in times)
        return sum(fmean(self._times.get(task, [overall])) for task in self.left) / min(self.jobs, len(self.left))

    def _count(self, record: RunRecord) -> None:
        self._times.setdefault(record.task, []).append(record.seconds + record.evaluation_seconds)


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(42.4), duration(125), duration(7260)
    ('42 s', '2 min 05 s', '2 h 01 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
