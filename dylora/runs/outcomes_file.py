"""Each example's outcome at each rank, as a run keeps it beside `rank_metrics.json`."""

import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np

from dylora.errors import InputError
from dylora.rank_curve.kept import KINDS, KeptOutcomes
from dylora.whole_files import whole_file

OUTCOMES_FILE = "outcomes.npz"
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


def _record(content: dict[str, np.ndarray]) -> OutcomesRecord:
    kind, values, ranks = str(content["kind"]), content["values"], tuple(map(int, content["ranks"]))
    if int(content["format"]) != FORMAT or kind not in KINDS:
        raise ValueError("another format")
    if values.shape[:2] != (len(ranks), len(content["index"])):
        raise ValueError("parts that do not fit each other")
    arrays = (content[name] for name in ("expected", "split", "index"))
    kept = KeptOutcomes(cast(Any, kind), str(content["metric"]), ranks, values, *arrays)
    return OutcomesRecord(kept, int(content["step"]))
