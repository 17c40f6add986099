"""Reader of the official GLUE layout: one folder a task, tab-separated files without quoting."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dylora.data.sources.text_files import AGAIN, decode, split_lines
from dylora.errors import InputError
from dylora.tasks import Task

Columns = dict[str, list[str] | list[int] | list[float]]

MAX_SCORE = 5.0
_COLA_COLUMNS = ("source", "label", "mark", "sentence")


@dataclass(frozen=True)
class Layout:
    """Where a task's files keep its text and its target.

    Attributes:
        text: Header names of the text columns, in the order of the task's `text_fields`.
        label: Header name of the target column.
        named_labels: Whether the target column holds class names; else it holds ids (or scores).
        broken_share: Largest share of data lines with too few columns that is left out instead of refused.
    """

    text: tuple[str, ...]
    label: str
    named_labels: bool = False
    broken_share: float = 0.0


_SENTENCES = ("sentence1", "sentence2")
LAYOUTS = {
    "cola": Layout(("sentence",), "label"),
    "sst2": Layout(("sentence",), "label"),
    "mrpc": Layout(("#1 String", "#2 String"), "Quality"),
    # The first official release has a few questions with a line break inside; the hub's version leaves them out too.
    "qqp": Layout(("question1", "question2"), "is_duplicate", broken_share=0.001),
    "stsb": Layout(_SENTENCES, "score"),
    "mnli": Layout(_SENTENCES, "gold_label", named_labels=True),
    "qnli": Layout(("question", "sentence"), "label", named_labels=True),
    "rte": Layout(_SENTENCES, "label", named_labels=True),
}


def task_folder(task: Task, data_dir: Path) -> Path:
    """The folder that holds a task's files: `data_dir/<task>` if it exists, else `data_dir` itself.

    Raises:
        InputError: If `data_dir` is no folder.
    """
    if not data_dir.is_dir():
        raise InputError("data.data_dir", "an existing folder", data_dir, "give the folder of the GLUE files")
    inner = data_dir / task.folder
    return inner if inner.is_dir() else data_dir


def split_path(task: Task, data_dir: Path, split: str) -> Path:
    """The file of a split: `train.tsv`, `dev.tsv`, `test.tsv`, `dev_matched.tsv` and so on.

    Raises:
        InputError: If `data_dir` is no folder.
    """
    return task_folder(task, data_dir) / f"{split.replace('validation', 'dev')}.tsv"


def available_splits(task: Task, data_dir: Path) -> tuple[str, ...]:
    """Those of the task's splits whose file exists.

    Raises:
        InputError: If `data_dir` is no folder.
    """
    names = ("train", *task.validation_splits, *task.test_splits)
    return tuple(name for name in names if split_path(task, data_dir, name).is_file())


def read_bytes(task: Task, data_dir: Path, split: str) -> bytes:
    """The bytes of a split's file.

    Raises:
        InputError: If the file is missing (the message lists what is there) or cannot be read.
    """
    path = split_path(task, data_dir, split)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        found = ", ".join(sorted(entry.name for entry in path.parent.iterdir())) or "nothing"
        fix = f"put the official {task.folder} file there or give another --data.data_dir"
        raise InputError(str(path), "an existing file", f"a folder with {found}", fix) from None
    except OSError as error:
        raise InputError(str(path), "a readable file", error.strerror, "check its permissions") from None


def read_split(task: Task, data_dir: Path, split: str) -> tuple[Columns, int]:
    """Read one split.

    Args:
        task: One of the eight GLUE tasks.
        data_dir: The GLUE folder, or the task's own.
        split: A split name as the hub has it, such as `train` or `validation_matched`.

    Returns:
        The columns: the task's `text_fields`, `index` (row number in the file, from 0) and, in a split with labels,
        `label` (class id, or the score in [0, 5]); and the number of broken lines that were left out (QQP only).

    Raises:
        InputError: If the file is missing, empty, truncated, not UTF-8 or holds a label that the task does not have.
    """
    path = split_path(task, data_dir, split)
    lines = split_lines(decode(read_bytes(task, data_dir, split), path).rstrip("\r\n"))
    is_test = split in task.test_splits
    first, header = _header(path, lines, task, is_test)
    rows, broken = _rows(path, lines, first, header, LAYOUTS[task.name].broken_share)
    layout = LAYOUTS[task.name]
    columns: Columns = {"index": [number - first for number, _ in rows]}
    for field, name in zip(task.text_fields, layout.text, strict=True):
        place = header.index(name)
        columns[field] = [cells[place] for _, cells in rows]
    if not is_test:
        place = header.index(layout.label)
        columns["label"] = [_target(path, number, cells[place], task) for number, cells in rows]
    return columns, broken


def _header(path: Path, lines: list[str], task: Task, is_test: bool) -> tuple[int, tuple[str, ...]]:
    """The line number (from 1) of the first data row and the column names."""
    bare = task.name == "cola" and not is_test
    first = 1 if bare else 2
    header = _COLA_COLUMNS if bare else tuple(lines[0].split("\t"))
    layout = LAYOUTS[task.name]
    needed = layout.text if is_test else (*layout.text, layout.label)
    if not set(needed) <= set(header):
        allowed = f"a header with the columns {', '.join(needed)}"
        fix = f"use the official {task.folder} file"
        raise InputError(f"{path}, line 1", allowed, ", ".join(header), fix)
    if len(lines) < first:
        raise InputError(str(path), "a file with data rows", "a header alone", AGAIN)
    return first, header


def _rows(
    path: Path, lines: list[str], first: int, header: tuple[str, ...], broken_share: float
) -> tuple[list[tuple[int, list[str]]], int]:
    """Line number and cells of every data line, and how many lines were left out as broken."""
    rows = [(number, cells) for number, cells in _cells(lines, first) if len(cells) == len(header)]
    broken = [(number, len(cells)) for number, cells in _cells(lines, first) if len(cells) != len(header)]
    if broken and (len(broken) > broken_share * len(lines) or broken[-1][0] == len(lines)):
        number, found = broken[0]
        allowed = f"{len(header)} tab-separated columns ({', '.join(header)})"
        fix = "the line is cut off or was edited: download the file again"
        raise InputError(f"{path}, line {number}", allowed, f"{found} column{'s' * (found != 1)}", fix)
    return rows, len(broken)


def _cells(lines: list[str], first: int) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in enumerate(lines[first - 1 :], start=first))


def _target(path: Path, line: int, text: str, task: Task) -> float | int:
    """Class id or score of one cell."""
    if task.is_regression:
        return _score(path, line, text)
    names = task.labels if LAYOUTS[task.name].named_labels else tuple(map(str, range(task.num_outputs)))
    if text not in names:
        raise InputError(f"{path}, line {line}", f"a label out of {', '.join(names)}", repr(text), "correct it")
    return names.index(text)


def _score(path: Path, line: int, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= MAX_SCORE:
        raise InputError(f"{path}, line {line}", "a score in [0, 5]", repr(text), f"correct it or {AGAIN}")
    return score
