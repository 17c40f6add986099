"""What each sentence classification task is: its text columns, labels, splits and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dylora.errors import InputError


@dataclass(frozen=True)
class Task:
    """A sentence or sentence-pair task.

    Attributes:
        name: Name on the command line, in the hub's `nyu-mll/glue` and in file names.
        folder: Folder (and submission file stem) in the official GLUE layout.
        text_fields: Names of the one or two text columns in the hub's data.
        labels: Class names in the order of their ids; empty for a regression task.
        metrics: Metric names, as they are logged.
        monitor: The metric that rank curves, checkpoints and the chosen rank go by.
        validation_splits: Names of the validation splits.
        test_splits: Names of the test splits, in the same order.
    """

    name: str
    folder: str
    text_fields: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    monitor: str
    validation_splits: tuple[str, ...] = ("validation",)
    test_splits: tuple[str, ...] = ("test",)

    @property
    def is_regression(self) -> bool:
        """Whether the target is a score and not a class."""
        return not self.labels

    @property
    def num_outputs(self) -> int:
        """Width of the task head: the number of classes, or 1 for a score."""
        return len(self.labels) or 1


_SENTENCES = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("rte", "RTE", _SENTENCES, _ENTAILMENT, ("accuracy",), "accuracy"),
        Task(
            "mnli",
            "MNLI",
            ("premise", "hypothesis"),
            ("entailment", "neutral", "contradiction"),
            ("accuracy", "accuracy_matched", "accuracy_mismatched"),
            "accuracy",
            ("validation_matched", "validation_mismatched"),
            ("test_matched", "test_mismatched"),
        ),
        Task("sst2", "SST-2", ("sentence",), ("negative", "positive"), ("accuracy",), "accuracy"),
        Task("mrpc", "MRPC", _SENTENCES, ("not_equivalent", "equivalent"), ("accuracy", "f1"), "f1"),
        Task("cola", "CoLA", ("sentence",), ("unacceptable", "acceptable"), ("matthews",), "matthews"),
        Task("qnli", "QNLI", ("question", "sentence"), _ENTAILMENT, ("accuracy",), "accuracy"),
        Task(
            "qqp",
            "QQP",
            ("question1", "question2"),
            ("not_duplicate", "duplicate"),
            ("accuracy", "f1"),
            "accuracy",
        ),
        Task("stsb", "STS-B", _SENTENCES, (), ("pearson", "spearman"), "pearson"),
        Task("restaurants", "restaurants", _SENTENCES, _ENTAILMENT, ("accuracy",), "accuracy"),
    )
}


def get_task(name: str) -> Task:
    """Look a task up by name.

    Raises:
        InputError: If no task has that name.

    >>> get_task("stsb").is_regression
    True
    """
    try:
        return TASKS[name]
    except KeyError:
        allowed = "one of " + ", ".join(TASKS)
        raise InputError("data.task", allowed, repr(name), "choose a task from the list") from None


def task_for(name: str, labels: Sequence[str] | None = None) -> Task:
    """A task by name, or one of a user's own data.

    Args:
        name: Its name.
        labels: Class names of the user's own data in the order of their ids, empty for scores; none for a known task.

    Raises:
        InputError: If there are no labels and no known task has that name, or a label is alone or comes twice.

    >>> task_for("reviews", ["bad", "good"]).metrics
    ('accuracy', 'macro_f1', 'matthews')
    >>> task_for("prices", []).monitor
    'pearson'
    """
    if labels is None:
        return get_task(name)
    if len(labels) == 1 or len(set(labels)) < len(labels):
        fix = "name each class once"
        raise InputError("labels", "two class names or more, all different", ", ".join(labels), fix)
    metrics = ("accuracy", "macro_f1", "matthews") if labels else ("pearson", "spearman", "mae")
    return Task(name, name, ("text",), tuple(labels), metrics, metrics[0])


def own_name(given: str | None, place: str) -> str:
    """The name of a user's own data, and of the folder of its runs.

    Args:
        given: The name, if one is given.
        place: The file, the folder or the hub set, which gives it else; a `train.csv` goes by the name of its folder.

    Raises:
        InputError: If the name cannot be that of a folder.

    >>> own_name(None, "some/reviews.csv"), own_name(None, "stanfordnlp/imdb"), own_name("rte", "a.csv")
    ('reviews', 'imdb', 'rte-data')
    """
    if given is None:
        path = Path(place).expanduser().resolve()
        given = path.parent.name if path.stem == "train" else path.stem
    if not given or "/" in given or given.startswith("."):
        raise InputError("data.name", "a name of a folder", repr(given), "leave out slashes and a dot in front")
    return f"{given}-data" if given in TASKS else given
