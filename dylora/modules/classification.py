"""Sentence classification and regression at every rank."""

from typing import Any

from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.load import load_classifier
from dylora.modules.classification_base import ClassificationModule
from dylora.tasks import get_task


class SequenceClassificationModule(ClassificationModule):
    """A backbone with DyLoRA adapters and a task head, for sentences and pairs of sentences.

    Args:
        task: Name of the task; taken from `data.task` on the command line.
        backbone: Hub name or local folder of a pretrained model, or `builtin/roberta`, the tiny one of this package.
        adapter: Shape, scaling and place of the adapters.
        keep_head: Keep the task head of a backbone that was fine-tuned before on labels like these; else its head is
            made anew.
        **options: As for every module that is evaluated at every rank.
    """

    def __init__(
        self,
        task: str = "restaurants",
        backbone: str = "builtin/roberta",
        adapter: DyLoRAConfig = DyLoRAConfig(),  # noqa: B008 (frozen)
        keep_head: bool = False,
        **options: Any,  # noqa: ANN401 (those of the base)
    ) -> None:
        self.task = get_task(task)
        self.monitor, self.metric_names = self.task.monitor, self.task.metrics
        model, new = load_classifier(backbone, self.task.num_outputs, keep_head)
        if model.config.pad_token_id is None:  # decoders find a sentence's last token by it; data pads with the same
            model.config.pad_token_id = model.config.eos_token_id
        super().__init__(model, backbone, task, adapter, new_parameters=new, **options)
