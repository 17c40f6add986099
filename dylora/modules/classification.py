"""Sentence classification and regression at every rank."""

from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.load import load_classifier
from dylora.backbones.quantization import Quantization
from dylora.errors import InputError
from dylora.metrics.glue import GLUEMetrics
from dylora.modules.base import Batch, EveryRankModule
from dylora.tasks import Task, task_for

_NOT_INPUTS = ("labels", "index")


class SequenceClassificationModule(EveryRankModule):
    """A backbone with DyLoRA adapters and a task head, for sentences and pairs of sentences.

    Args:
        task: Name of the task; taken from the data on the command line.
        backbone: Hub name or local folder of a pretrained model, or `builtin/roberta`, the tiny one of this package.
        adapter: Shape, scaling and place of the adapters.
        keep_head: Keep the task head of a backbone that was fine-tuned before on labels like these; else its head is
            made anew.
        labels: Class names of your own task in the order of their ids, empty for scores; null for a task of GLUE's.
            Taken from the data on the command line.
        monitor: The metric that rank curves, checkpoints and the chosen rank go by: of classes `accuracy`, `macro_f1`
            or `matthews`, of scores `pearson`, `spearman` or `mae`; null takes the task's first.
        quantization: Load the backbone in 4 bits (`nf4`) or 8 bits (`int8`, needs `pip install "dylora[quantized]"`);
            the adapters and the head keep fp32. Merging is not possible then.
        **options: As for every module that is evaluated at every rank.

    Attributes:
        task: The task, with its labels and metrics.

    Raises:
        InputError: If the task is unknown and has no labels, or does not have the metric.
    """

    kind: ClassVar[str] = "sentences"

    def __init__(
        self,
        task: str = "restaurants",
        backbone: str = "builtin/roberta",
        adapter: DyLoRAConfig = DyLoRAConfig(),  # noqa: B008 (frozen)
        keep_head: bool = False,
        labels: list[str] | None = None,
        monitor: str | None = None,
        quantization: Quantization | None = None,
        **options: Any,  # noqa: ANN401 (those of the base)
    ) -> None:
        self.task = task_for(task, labels)
        self.monitor, self.metric_names = _monitored(self.task, monitor), self.task.metrics
        model, new = load_classifier(backbone, self.task.num_outputs, keep_head, quantization)
        if model.config.pad_token_id is None:  # decoders find a sentence's last token by it; data pads with the same
            model.config.pad_token_id = model.config.eos_token_id
        if self.task.is_regression:
            self.output_kind = "score"
        super().__init__(model, backbone, task, adapter, new_parameters=new, **options)
        self.identity["labels"] = list(self.task.labels)

    @property
    @override
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids; empty for a score."""
        return self.task.labels

    def build_metric(self) -> Metric:
        """The task's metrics."""
        return GLUEMetrics(self.task)

    def losses_of(self, batch: Batch, groups: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy, or squared error for a score, of each group; and the logits (rows, classes) or (rows,)."""
        logits = self.outputs_of(batch)
        return self._losses(logits, batch.get("labels")).view(groups, -1).mean(1), logits

    @override
    def outputs_of(self, batch: Batch) -> Tensor:
        """The logits, (rows, classes), or the scores, (rows,)."""
        inputs = {key: value for key, value in batch.items() if key not in _NOT_INPUTS}
        logits = cast(Tensor, self.model(**inputs).logits).float()
        return logits.squeeze(-1) if self.task.is_regression else logits

    @override
    def losses_at(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy, or squared error for a score, of each row, and the rows' numbers."""
        return self._losses(outputs, batch.get("labels")), torch.arange(len(outputs), device=outputs.device)

    def update_metric(self, metric: Metric, outputs: Tensor, batch: Batch, split: int) -> None:
        """Count the logits of one rank."""
        metric.update(outputs, batch["labels"], split)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> list[dict[str, Any]]:
        """One record a row: its index, and for each asked rank the probabilities or the score."""
        records: list[dict[str, Any]] = [{"index": int(index), "ranks": {}} for index in batch["index"]]
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
        label = self.task.labels[int(row.argmax())]
        return {"label": label, "probabilities": dict(zip(self.task.labels, probabilities, strict=True))}


def _monitored(task: Task, chosen: str | None) -> str:
    if chosen is None:
        return task.monitor
    if chosen not in (*task.metrics, "loss"):
        allowed = f"a metric of the task ({', '.join(task.metrics)}) or loss"
        raise InputError("model.monitor", allowed, repr(chosen), "choose one of them")
    return chosen
