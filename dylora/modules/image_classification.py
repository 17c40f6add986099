"""Image classification at every rank."""

import inspect
from typing import Any, ClassVar, cast

from torch import Tensor, nn
from typing_extensions import override

from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.dtype import BackboneDType
from dylora.backbones.load import load_image_classifier
from dylora.backbones.quantization import Quantization
from dylora.errors import InputError
from dylora.modules.classification_base import ClassificationModule, monitored
from dylora.modules.stacked_ranks import Batch
from dylora.tasks import task_for


class ImageClassificationModule(ClassificationModule):
    """A backbone with DyLoRA adapters and a new head, for images in classes.

    Args:
        task: Name of the data; taken from the data on the command line.
        labels: Names of the classes in the order of their ids, two or more; taken from the data on the command line.
        backbone: Hub name or local folder of a pretrained model for images: ViT, DeiT, DINOv2, BEiT, Swin, ConvNeXt
            and others.
        adapter: Shape, scaling and place of the adapters. ConvNeXt has no attention: give it the target modules pwconv1
            and pwconv2.
        keep_head: Keep the head of a backbone that was trained before on classes like these; else it is made anew.
        monitor: The metric that rank curves, checkpoints and the chosen rank go by: `accuracy`, `macro_f1`, `matthews`
            or `loss`; null means accuracy.
        quantization: Load the backbone in 4 bits (`nf4`) or 8 bits (`int8`, needs `pip install "dylora[quantized]"`);
            the adapters and the head keep fp32. Merging is not possible then.
        backbone_dtype: Type in which the frozen backbone is held and computes, `fp32` or `bf16`; the adapters and
            the head are trained in fp32.
        **options: As for every module that is evaluated at every rank.

    Attributes:
        task: The labels and metrics.

    Raises:
        InputError: If there are fewer than two classes, or the backbone or the metric is unusable.
    """

    kind: ClassVar[str] = "images"
    outcome_kind = "classes"

    def __init__(
        self,
        task: str = "images",
        labels: list[str] | None = None,
        backbone: str = "google/vit-base-patch16-224-in21k",
        adapter: DyLoRAConfig = DyLoRAConfig(),  # noqa: B008 (frozen)
        keep_head: bool = False,
        monitor: str | None = None,
        quantization: Quantization | None = None,
        backbone_dtype: BackboneDType = "fp32",
        **options: Any,  # noqa: ANN401 (those of the base)
    ) -> None:
        if not labels or len(labels) < 2:
            fix = "choose --data ImageClassificationDataModule, or name the classes in the order of their ids"
            raise InputError("model.labels", "the names of two classes or more", labels, fix)
        self.task = task_for(task, labels)
        self.monitor, self.metric_names = monitored(self.task, monitor), self.task.metrics
        model, new = load_image_classifier(backbone, len(labels), keep_head, quantization, backbone_dtype)
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {name: place for place, name in enumerate(labels)}
        super().__init__(model, backbone, task, adapter, new_parameters=new, **options)
        self.identity["labels"] = list(self.task.labels)

    @override
    def logits(self, inputs: Batch) -> Tensor:
        """Class logits (rows, classes); positions are interpolated for images of another size than the backbone's."""
        return image_logits(self.model, inputs)


def image_logits(model: nn.Module, inputs: Batch) -> Tensor:
    """Class logits (rows, classes) of a model of images.

    Positions are interpolated for images of another size than the backbone was trained on, where the model can.

    Args:
        model: A model for image classification.
        inputs: `pixel_values` (rows, 3, H, W), and what else it takes.
    """
    size = getattr(model.config, "image_size", 0)
    own_size = [size, size] if isinstance(size, int) else list(cast(Any, size))
    can = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
    other = can and list(inputs["pixel_values"].shape[-2:]) != own_size
    return cast(Tensor, model(**inputs, **({"interpolate_pos_encoding": True} if other else {})).logits)
