"""The GLUE leaderboard's files."""

from collections.abc import Mapping
from pathlib import Path

from dylora.data.sources.glue import EMBEDDED
from dylora.data.sources.glue_tsv import LAYOUTS, MAX_SCORE
from dylora.errors import InputError
from dylora.tasks import Task

_SUFFIXES = {"test_matched": "-m", "test_mismatched": "-mm"}


def submission_lines(task: Task, predictions: Mapping[int, float]) -> list[str]:
    r"""The lines of one file, header first.

    Args:
        task: A GLUE task.
        predictions: Class id, or score, of each row number from 0, in any order. Scores are clipped to [0, 5].

    Raises:
        InputError: If rows are missing.

    >>> from dylora.tasks import get_task
    >>> submission_lines(get_task("rte"), {1: 0, 0: 1})
    ['index\tprediction', '0\tnot_entailment', '1\tentailment']
    """
    if not predictions or set(predictions) != set(range(len(predictions))):
        allowed = "a run over the whole test split"
        given = f"{len(predictions)} rows with gaps between them" if predictions else "no rows"
        raise InputError("--submission", allowed, given, "remove limits such as --trainer.limit_predict_batches")
    return ["index\tprediction", *(f"{row}\t{_cell(task, predictions[row])}" for row in range(len(predictions)))]


def _cell(task: Task, prediction: float) -> str:
    if task.is_regression:
        return f"{min(max(prediction, 0.0), MAX_SCORE):.3f}"
    return task.labels[int(prediction)] if LAYOUTS[task.name].named_labels else str(int(prediction))


def submission_path(task: Task, folder: Path, split: str) -> Path:
    """The official file of a test split, such as `RTE.tsv` or `MNLI-mm.tsv`.

    Raises:
        InputError: If the task is not one of GLUE's, or the split is not a test split.
    """
    if task.name == EMBEDDED:
        allowed = "left out for a task that is not one of GLUE's"
        raise InputError("--submission", allowed, f"given for the task {task.name}", "choose a GLUE task")
    if split not in task.test_splits:
        fix = "set --data.predict_split test"
        raise InputError("--submission", "used with the test split", f"used with {split}", fix)
    return folder / f"{task.folder}{_SUFFIXES.get(split, '')}.tsv"


def write_submission(task: Task, folder: Path, predictions: Mapping[str, Mapping[int, float]]) -> list[Path]:
    """Write one file for each test split; nothing is written over, and nothing is written if anything is wrong.

    Args:
        task: A GLUE task.
        folder: Where the files go; made if missing.
        predictions: For each test split, class id or score of each row number.

    Returns:
        The files written.

    Raises:
        InputError: If a file exists already, rows are missing or the folder cannot be written.
    """
    files = {submission_path(task, folder, split): submission_lines(task, rows) for split, rows in predictions.items()}
    for path in files:
        if path.exists():
            fix = "remove it or choose another folder"
            raise InputError("--submission", "a folder without the file", path, fix)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, lines in files.items():
            with path.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write("\n".join(lines) + "\n")
    except OSError as error:
        fix = f"({error.strerror}) choose another folder"
        raise InputError("--submission", "a folder that can be written", folder, fix) from error
    return list(files)
