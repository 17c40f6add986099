"""The GLUE leaderboard's files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dylora.data.sources.glue import EMBEDDED
from dylora.data.sources.glue_tsv import LAYOUTS, MAX_SCORE
from dylora.errors import InputError
from dylora.tasks import Task
from dylora.whole_files import check_writable, write_whole

Record = Mapping[str, Any]

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


class Submission:
    """The leaderboard's files of a test set's predictions, at some ranks; nothing is ever written over.

    All that can be wrong before anything is predicted is refused at once.

    Args:
        task: A GLUE task.
        folder: Where the files go, in `rank_<b>/` if there are several ranks; made if missing.
        ranks: The ranks.
        splits: Names of the splits that are predicted.

    Raises:
        InputError: If the task is not one of GLUE's, a split is not a test split, a file exists already or the folder
            cannot be written.
    """

    def __init__(self, task: Task, folder: Path, ranks: Sequence[int], splits: Sequence[str]) -> None:
        self._task = task
        places = {rank: folder if len(ranks) == 1 else folder / f"rank_{rank}" for rank in ranks}
        self._paths = {
            (rank, split): submission_path(task, place, split) for rank, place in places.items() for split in splits
        }
        self._refuse_existing()
        check_writable("--submission", folder)

    def write(self, predicted: Mapping[str, Sequence[Record]]) -> list[Path]:
        """Write one file for each split and rank; nothing is written if anything is wrong.

        Args:
            predicted: For each split, a record of each row with its `index` and, under `ranks`, what a rank predicts:
                `label` or `score`.

        Returns:
            The files written.

        Raises:
            InputError: If a file exists by now, rows are missing or the folder cannot be written.
        """
        files = {path: self._lines(rank, predicted[split]) for (rank, split), path in self._paths.items()}
        self._refuse_existing()
        for path, lines in files.items():
            write_whole(path, "\n".join(lines) + "\n")
        return list(files)

    def _refuse_existing(self) -> None:
        for path in self._paths.values():
            if path.exists():
                fix = "remove it or choose another folder"
                raise InputError("--submission", "a folder without the file", path, fix)

    def _lines(self, rank: int, records: Sequence[Record]) -> list[str]:
        answers = {record["index"]: self._answer(record["ranks"][str(rank)]) for record in records}
        return submission_lines(self._task, answers)

    def _answer(self, prediction: Mapping[str, Any]) -> float:
        """The class id, or the score."""
        task = self._task
        return float(prediction["score"]) if task.is_regression else task.labels.index(prediction["label"])
