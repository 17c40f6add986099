"""What classification of texts and of images share: the loss, the metrics and the predictions."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from dylora.errors import InputError
from dylora.metrics.glue import GLUEMetrics
from dylora.modules.base import EveryRankModule
from dylora.modules.stacked_ranks import Batch
from dylora.tasks import Task

_NOT_INPUTS = ("labels", "index", "rank")


class ClassificationModule(EveryRankModule):
    """Base of the modules that choose a class, or give a score, for each row.

    A subclass sets `task`, `monitor` and `metric_names` before it calls this.

    Attributes:
        task: The labels and metrics.
    """

    task: Task

    @property
    @override
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids; empty for a score."""
        return self.task.labels

    def logits(self, inputs: Batch) -> Tensor:
        """Class logits (rows, classes), or (rows, 1) for a score."""
        return cast(Tensor, self.model(**inputs).logits)

    @override
    def build_metric(self) -> Metric:
        """The task's metrics."""
        return GLUEMetrics(self.task)

    @override
    def losses_of(self, batch: Batch, groups: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy, or squared error for a score, of each group; and the logits (rows, classes) or (rows,)."""
        logits = self.outputs_of(batch)
        return self._losses(logits, batch.get("labels")).view(groups, -1).mean(1), logits

    @override
    def outputs_of(self, batch: Batch) -> Tensor:
        """The logits, (rows, classes), or the scores, (rows,)."""
        logits = self.logits({key: value for key, value in batch.items() if key not in _NOT_INPUTS}).float()
        return logits.squeeze(-1) if self.task.is_regression else logits

    @override
    def losses_at(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy, or squared error for a score, of each row, and the rows' numbers."""
        return self._losses(outputs, batch.get("labels")), torch.arange(len(outputs), device=outputs.device)

    @override
    def update_metric(self, metric: Metric, outputs: Tensor, batch: Batch, split: int) -> None:
        """Count the logits of one rank."""
        metric.update(outputs, batch["labels"], split)

    @override
    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> list[dict[str, Any]]:
        """One record a row: its index, and for each asked rank the probabilities or the score.

        There is no label, None, where logits are not finite.

        Rows that have a `rank` of their own are predicted at that one, together in one forward.
        """
        records: list[dict[str, Any]] = [{"index": int(index), "ranks": {}} for index in batch["index"]]
        if "rank" in batch:
            logits = self.outputs_at_own_ranks(batch)
            for record, rank, row in zip(records, batch["rank"].tolist(), logits, strict=True):
                record["ranks"][str(rank)] = self._prediction(row)
            return records
        for rank, _, logits in self.outputs_at_ranks(batch):
            for record, row in zip(records, logits, strict=True):
                record["ranks"][str(rank)] = self._prediction(row)
        return records

    def _losses(self, logits: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            return logits.new_zeros(len(logits))
        if self.task.is_regression:
            return F.mse_loss(logits, labels, reduction="none")
        return F.cross_entropy(logits, labels, reduction="none")

    def _prediction(self, row: Tensor) -> dict[str, Any]:
        if self.task.is_regression:
            return {"score": float(row)}
        probabilities = torch.softmax(row, -1).tolist()
        label = self.task.labels[int(row.argmax())] if row.isfinite().all() else None
        return {"label": label, "probabilities": dict(zip(self.task.labels, probabilities, strict=True))}


def monitored(task: Task, chosen: str | None) -> str:
    """The metric that rank curves, checkpoints and the chosen rank go by: the chosen one, or the task's.

    Args:
        task: The task.
        chosen: One of its metrics, or `loss`; none for the task's own choice.

    Raises:
        InputError: If the task does not have it.
    """
    if chosen is None:
        return task.monitor
    if chosen not in (*task.metrics, "loss"):
        allowed = f"a metric of the task ({', '.join(task.metrics)}) or loss"
        raise InputError("model.monitor", allowed, repr(chosen), "choose one of them")
    return chosen
