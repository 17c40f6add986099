"""Sentence classification and regression at every rank."""

from typing import Any, ClassVar

from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.dtype import BackboneDType
from dylora.backbones.load import load_classifier
from dylora.backbones.quantization import Quantization
from dylora.modules.classification_base import ClassificationModule, monitored
from dylora.tasks import task_for


class SequenceClassificationModule(ClassificationModule):
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
        backbone_dtype: Type in which the frozen backbone is held and computes, `fp32` or `bf16`; the adapters and
            the head are trained in fp32.
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
        backbone_dtype: BackboneDType = "fp32",
        **options: Any,  # noqa: ANN401 (those of the base)
    ) -> None:
        self.task = task_for(task, labels)
        self.monitor, self.metric_names = monitored(self.task, monitor), self.task.metrics
        self.outcome_kind = "scores" if self.task.is_regression else "classes"
        model, new = load_classifier(backbone, self.task.num_outputs, keep_head, quantization, backbone_dtype)
        if model.config.pad_token_id is None:  # decoders find a sentence's last token by it; data pads with the same
            model.config.pad_token_id = model.config.eos_token_id
        super().__init__(model, backbone, task, adapter, new_parameters=new, **options)
        self.identity["labels"] = list(self.task.labels)
