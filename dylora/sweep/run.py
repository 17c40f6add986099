"""A whole sweep: what is left to do, in which order, and what is said about it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from dylora.runs.record import RunRecord, read_record
from dylora.signals import INTERRUPTED
from dylora.sweep.engines import Results
from dylora.sweep.expansion import Run, check_places
from dylora.sweep.perform import is_finished
from dylora.sweep.progress import Progress
from dylora.sweep.tuning import resolve

Engine = Callable[[Sequence[Run]], Results]
Say = Callable[[str], None]


def nothing(_: str) -> None:
    """Show nothing."""


def run_sweep(runs: Sequence[Run], engine: Engine, say: Say, jobs: int = 1, show: Say = nothing) -> int:
    """Carry out all runs that are not finished.

    Runs of a system with a grid of learning rates wait until those that try them have told which is best.

    Args:
        runs: All runs of the sweep.
        engine: Carries runs out, and gives them back as they end.
        say: Shows a line.
        jobs: How many run at a time, to estimate the time that is left.
        show: Shows what is under way until the next line, or nothing for an empty text.

    Returns:
        The exit status: 0, 1 if a run failed, 130 if one was interrupted.

    Raises:
        InputError: If a folder holds a run with other options.
    """
    progress = Progress(runs, jobs)
    failed: list[RunRecord] = []
    carry_out = partial(_carry_out, engine=engine, say=say, progress=progress, failed=failed, show=show)
    ready = [run for run in runs if not run.learning_rates]
    if not carry_out(ready):
        return _stopped(say, failed)
    waiting = [(run, resolve(run, ready)) for run in runs if run.learning_rates]
    for run, resolved in waiting:
        if resolved is None:
            failed.append(_without_rate(run.record()))
            say(progress.line(run, failed[-1]))
    if not carry_out([resolved for _, resolved in waiting if resolved]):
        return _stopped(say, failed)
    return _closing(say, failed, len(runs))


def _carry_out(
    runs: Sequence[Run], engine: Engine, say: Say, progress: Progress, failed: list[RunRecord], show: Say
) -> bool:
    """Skip what is finished, carry out the rest; whether nothing was interrupted."""
    check_places(runs)
    left = []
    for run in runs:
        record = read_record(run.place)
        if record is not None and is_finished(run, record):
            progress.skip(run, record)
        else:
            left.append(run)
    if len(left) < len(runs):
        say(f"{len(runs) - len(left)} of {len(runs)} runs are finished already")
    try:
        show(progress.state(left) if left else "")
        for run, record in engine(list(left)):
            left.remove(run)
            show("")
            say(progress.line(run, record))
            if record.status == "interrupted":
                return False
            if record.status == "failed":
                failed.append(record)
            show(progress.state(left) if left else "")
    except KeyboardInterrupt:
        return False
    finally:
        show("")
    return True


def _without_rate(record: RunRecord) -> RunRecord:
    return replace(record, status="failed", error="none of the learning rates that were tried finished")


def _stopped(say: Say, failed: Sequence[RunRecord]) -> int:
    _list(say, failed)
    say("Interrupted; the same command goes on where it stopped")
    return INTERRUPTED


def _closing(say: Say, failed: Sequence[RunRecord], total: int) -> int:
    _list(say, failed)
    if not failed:
        say(f"All {total} runs are finished")
    return 1 if failed else 0


def _list(say: Say, failed: Sequence[RunRecord]) -> None:
    if failed:
        say(f"{len(failed)} {'run' if len(failed) == 1 else 'runs'} failed; the same command tries again:")
        for record in failed:
            say(f"  {record.title}: {record.error}")
