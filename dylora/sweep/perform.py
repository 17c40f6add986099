"""One run from wherever it stands to its end: the function that every engine carries out."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dylora
from dylora.runs.folders import CHECKPOINTS, CONFIG, cut_file
from dylora.runs.record import METRICS_FILE, RunRecord, read_record
from dylora.signals import INTERRUPTED
from dylora.sweep.expansion import Run

Start = Callable[[list[str], Path], int]
"""Carries out the arguments of a command, appends what it prints to a file, and gives its exit status."""

OUTPUT = "output.txt"
_LAST = f"{CHECKPOINTS}/last.ckpt"


def perform(run: Run, start: Start) -> RunRecord:
    """Train and evaluate a run, going on where it was interrupted; a finished one is left as it is.

    Args:
        run: The run.
        start: How commands are carried out.

    Returns:
        The record, as it is in `run.json` now. A run that fails is recorded and raises nothing.
    """
    record = read_record(run.place) or run.record()
    if is_finished(run, record):
        return record
    record = replace(record, seconds=record.seconds + _lost_seconds(run, record), status="running", error=None)
    record = replace(record, label=run.label, version=dylora.__version__, started=_now(), finished=None)
    record.write(run.place)
    record, status = _train(run, record, start) if record.result is None else (record, 0)
    if status == 0:
        record, status = _evaluate(run, record, start)
    if status == INTERRUPTED:
        record = replace(record, status="interrupted")
    elif status != 0:
        record = replace(record, status="failed", error=_last_words(run.place / OUTPUT, status), finished=_now())
    else:
        record = replace(record, status="finished", finished=_now())
    record.write(run.place)
    return record


def is_finished(run: Run, record: RunRecord | None) -> bool:
    """Whether nothing is left to do, cuts that were added to the file later included."""
    return record is not None and record.status == "finished" and not _cuts_left(run, record)


def _train(run: Run, record: RunRecord, start: Start) -> tuple[RunRecord, int]:
    checkpoint = _newest(run.place, _LAST)
    resume = [f"--ckpt_path={checkpoint / _LAST}"] if checkpoint else []
    begun = time.monotonic()
    status = start([*run.command, *resume], run.place / OUTPUT)
    record = replace(record, seconds=record.seconds + time.monotonic() - begun)
    result = _newest(run.place, METRICS_FILE)
    if status == 0 and result is None:
        _append(run.place / OUTPUT, f"fit ended without {METRICS_FILE}: nothing was validated")
        return record, 1
    if status == 0 and result is not None:
        record = replace(record, result=str(result.relative_to(run.place)))
    return record, status


def _evaluate(run: Run, record: RunRecord, start: Start) -> tuple[RunRecord, int]:
    begun = time.monotonic()
    status = 0
    for cut in _cuts_left(run, record):
        assert record.result is not None
        folder = run.place / record.result
        arguments = ["validate", f"--config={folder / CONFIG}", f"--ckpt_path={_checkpoint_for(run, folder)}"]
        status = start([*arguments, "--rank=all", f"--cut={cut}"], run.place / OUTPUT)
        if status != 0:
            break
    return replace(record, evaluation_seconds=record.evaluation_seconds + time.monotonic() - begun), status


def _cuts_left(run: Run, record: RunRecord) -> list[str]:
    folder = run.place / (record.result or "")
    return [cut for cut in run.cuts if not cut_file(folder, cut).is_file()]


def _checkpoint_for(run: Run, result: Path) -> Path:
    # A run that was interrupted after its last epoch ends, resumed, in a folder of its own without an epoch.
    return result / _LAST if (result / _LAST).is_file() else (_newest(run.place, _LAST) or result) / _LAST


def _newest(place: Path, name: str) -> Path | None:
    """The version folder of the highest number, of those that hold a file."""
    found = [folder for folder in place.glob("*/version_*") if (folder / name).is_file()]
    return max(found, key=lambda folder: int(folder.name.removeprefix("version_")), default=None)


def _lost_seconds(run: Run, record: RunRecord) -> float:
    """Time of a run that was killed, up to its last checkpoint."""
    folder = _newest(run.place, _LAST)
    if record.status != "running" or not record.started or folder is None or record.result is not None:
        return 0.0
    return max(0.0, (folder / _LAST).stat().st_mtime - datetime.fromisoformat(record.started).timestamp())


def _last_words(path: Path, status: int) -> str:
    """The last line that a failed command printed."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    words = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return words.removeprefix("dylora: error: ") or f"ended with status {status}"


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
