"""Each example's outcome at each rank, as a run keeps it beside `rank_metrics.json`."""

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np

from dylora.errors import InputError
from dylora.rank_curve.kept import KINDS, KeptOutcomes
from dylora.runs.folders import cut_file
from dylora.whole_files import whole_file

OUTCOMES_FILE = "outcomes.npz"
"""Outcomes of the best epoch."""
LAST_OUTCOMES_FILE = "outcomes_last.npz"
"""Outcomes of the last epoch, where it is not the best one."""
FORMAT = 1
_FIX = "evaluate the run again: train it anew, or resume it"


@dataclass(frozen=True)
class OutcomesRecord:
    """The outcomes in a run's folder, and the weights that they are of.

    Attributes:
        kept: The outcomes.
        step: The optimizer step of the weights.
    """

    kept: KeptOutcomes
    step: int


def write_outcomes(path: Path, kept: KeptOutcomes, step: int) -> None:
    """Write outcomes at once: a reader finds the old file or the new one, never a part of it.

    Args:
        path: `outcomes.npz` of a run.
        kept: The outcomes.
        step: The optimizer step of the weights that were evaluated.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "kind": kept.kind,
        "metric": kept.metric,
        "step": step,
        "ranks": np.array(kept.ranks),
        "values": kept.values,
        "expected": kept.expected,
        "split": kept.split,
        "index": kept.index,
    }
    with whole_file(path) as file:
        np.savez_compressed(file, **content)


def read_outcomes(path: Path) -> OutcomesRecord:
    """Read outcomes; nothing in the file is run.

    Raises:
        InputError: If there is no such file, or it is damaged or of another format.
    """
    if not path.is_file():
        allowed = "a run that kept each example's outcomes (outcomes.npz)"
        raise InputError("RUN", allowed, f"{str(path.parent)!r}, which has none", _FIX)
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        return _record(content)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        given = f"{str(path)!r}, which is damaged or of another kind"
        raise InputError("RUN", f"a run with outcomes of format {FORMAT}", given, _FIX) from error


def cut_outcomes_file(folder: Path, cut: str) -> Path:
    """Where the outcomes of a cut lie in a run.

    >>> cut_outcomes_file(Path("version_0"), "alpha/b").as_posix()
    'version_0/cuts/alpha-b.outcomes.npz'
    """
    return cut_file(folder, cut).with_suffix(".outcomes.npz")


def outcomes_of_step(folder: Path, step: int, cut: str | None = None) -> KeptOutcomes | None:
    """The outcomes of one optimizer step that a run kept; None where it kept none of that step, or they are damaged.

    Args:
        folder: The run's folder.
        step: The optimizer step of the weights.
        cut: The cut that they were evaluated under; None for the adapter as it was trained.
    """
    own = (folder / OUTCOMES_FILE, folder / LAST_OUTCOMES_FILE)
    for path in own if cut is None else (cut_outcomes_file(folder, cut),):
        with suppress(InputError):
            record = read_outcomes(path)
            if record.step == step:
                return record.kept
    return None


def _record(content: dict[str, np.ndarray]) -> OutcomesRecord:
    kind, values, ranks = str(content["kind"]), content["values"], tuple(map(int, content["ranks"]))
    if int(content["format"]) != FORMAT or kind not in KINDS:
        raise ValueError("another format")
    if values.shape[:2] != (len(ranks), len(content["index"])):
        raise ValueError("parts that do not fit each other")
    arrays = (content[name] for name in ("expected", "split", "index"))
    kept = KeptOutcomes(cast(Any, kind), str(content["metric"]), ranks, values, *arrays)
    return OutcomesRecord(kept, int(content["step"]))
