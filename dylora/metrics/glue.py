"""The metrics of classes and scores, exact and the same in one process or many."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.utilities import dim_zero_cat

from dylora.tasks import Task


class GLUEMetrics(Metric):
    """All metrics of one task at one rank, under the names in `task.metrics`.

    Classification counts a confusion matrix for each validation split, regression keeps all scores and targets and
    computes in double precision on the CPU. So figures do not depend on how rows are spread over batches or processes,
    a process without rows included. A metric that is not defined is 0.0, never NaN, so that choosing a checkpoint or a
    rank by it stays possible: Matthews where all predictions or all labels are one class (as scikit-learn has it), the
    correlations where predictions or targets are constant, too few or not finite, and F1 without any positive. The mean
    absolute error is infinite there. An evaluation whose loss is not finite reports none of them, but NaN.

    Args:
        task: The task.
    """

    full_state_update = False
    confusion: Tensor
    predicted: list[Tensor] | Tensor
    expected: list[Tensor] | Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        if task.is_regression:
            self.add_state("predicted", [], dist_reduce_fx="cat")
            self.add_state("expected", [], dist_reduce_fx="cat")
        else:
            shape = (len(task.validation_splits), task.num_outputs, task.num_outputs)
            self.add_state("confusion", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor, split: int = 0) -> None:
        """Take in a batch.

        Args:
            logits: (N, C) class logits, or (N, 1) or (N,) scores for a regression task.
            labels: (N,) class ids or scores.
            split: Place of the validation split in `task.validation_splits`.
        """
        if self.task.is_regression:
            # Not double: a process without rows takes part with an empty tensor, which torchmetrics makes float.
            self.predicted.append(logits.detach().reshape(-1).float())  # type: ignore[union-attr]
            self.expected.append(labels.reshape(-1).float())  # type: ignore[union-attr]
        else:
            self.confusion[split] += multiclass_confusion_matrix(
                logits.argmax(dim=-1), labels, self.task.num_outputs, validate_args=False
            )

    def compute(self) -> dict[str, float]:
        """The metrics over all rows of all processes.

        Of several splits, `accuracy` is the unweighted mean; a split that no process saw rows of is left out, with its
        own accuracy.

        Raises:
            RuntimeError: If no process saw any row.
        """
        figures = self._correlations() if self.task.is_regression else self._counted()
        if not figures:
            raise RuntimeError("the metrics were asked for before any row was counted")
        return figures

    def _correlations(self) -> dict[str, float]:
        predicted, expected = _joined(self.predicted), _joined(self.expected)
        if not len(predicted):
            return {}
        return {name: _FROM_SCORES[name](predicted, expected) for name in self.task.metrics}

    def _counted(self) -> dict[str, float]:
        seen = {i: matrix.cpu() for i, matrix in enumerate(self.confusion) if matrix.sum()}
        if not seen:
            return {}
        if len(self.task.validation_splits) == 1:
            return {name: _FROM_CONFUSION[name](seen[0]) for name in self.task.metrics}
        parts = {
            f"accuracy_{self.task.validation_splits[i].removeprefix('validation_')}": accuracy(matrix)
            for i, matrix in seen.items()
        }
        return {"accuracy": sum(parts.values()) / len(parts), **parts}


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    """A list before processes exchange their states, a tensor after; on the CPU, for not every device has doubles."""
    return dim_zero_cat(state).cpu().double() if len(state) else torch.empty(0)


def accuracy(confusion: Tensor) -> float:
    """Share of rows on the diagonal of a confusion matrix (C, C) of counts, true classes in rows."""
    return confusion.trace().item() / confusion.sum().item()


def f1(confusion: Tensor) -> float:
    """F1 of class 1 from a confusion matrix (2, 2); 0.0 where the class is neither present nor predicted."""
    (_, false_positive), (false_negative, true_positive) = confusion.tolist()
    denominator = 2 * true_positive + false_positive + false_negative
    return 2 * true_positive / denominator if denominator else 0.0


def macro_f1(confusion: Tensor) -> float:
    """Unweighted mean, over the classes that rows have, of each one's F1, from a confusion matrix (C, C)."""
    right, there = confusion.diag().tolist(), confusion.sum(1).tolist()
    guessed = confusion.sum(0).tolist()
    parts: list[float] = [2 * right[k] / (guessed[k] + there[k]) for k in range(len(there)) if there[k]]
    return sum(parts) / len(parts)


def matthews(confusion: Tensor) -> float:
    """Matthews correlation from a confusion matrix (C, C), with C > 2 the correlation R_C that generalises it.

    Source: J. Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient, 2004, Eq. 8.

    Returns:
        -1 to 1; 0.0 where labels or predictions are all one class.
    """
    if len(confusion) > 2:
        return _correlation_of_classes(confusion)
    (tn, fp), (fn, tp) = confusion.tolist()
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / product**0.5 if product else 0.0


def _correlation_of_classes(confusion: Tensor) -> float:
    rows, right = int(confusion.sum()), int(confusion.trace())
    guessed, there = confusion.sum(0).tolist(), confusion.sum(1).tolist()
    together = sum(g * t for g, t in zip(guessed, there, strict=True))
    product = (rows**2 - sum(g * g for g in guessed)) * (rows**2 - sum(t * t for t in there))
    return float((rows * right - together) / product**0.5) if product else 0.0


_FROM_CONFUSION: dict[str, Any] = {"accuracy": accuracy, "f1": f1, "macro_f1": macro_f1, "matthews": matthews}


def pearson(x: Tensor, y: Tensor) -> float:
    """Pearson correlation of (N,) and (N,), both double; 0.0 where it is not defined."""
    x, y = x - x.mean(), y - y.mean()
    scale = x.abs().max() * y.abs().max()
    if not scale.isfinite() or scale == 0:
        return 0.0
    x, y = x / x.abs().max(), y / y.abs().max()
    return float(((x @ y) / (x.norm() * y.norm())).clamp(-1, 1))


def spearman(x: Tensor, y: Tensor) -> float:
    """Spearman correlation of (N,) and (N,): Pearson's, of ranks in which ties share their mean."""
    return pearson(_mean_ranks(x), _mean_ranks(y)) if (x + y).isfinite().all() else 0.0


def mae(predicted: Tensor, expected: Tensor) -> float:
    """Mean absolute error of (N,) and (N,), both double; infinite where a prediction is not finite."""
    return float((predicted - expected).abs().nan_to_num(float("inf")).mean())


def _mean_ranks(values: Tensor) -> Tensor:
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ranks: Tensor = (counts.cumsum(0).double() - (counts.double() - 1) / 2)[place]
    return ranks


_FROM_SCORES: dict[str, Any] = {"pearson": pearson, "spearman": spearman, "mae": mae}
