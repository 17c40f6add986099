"""Full fine-tuning: every parameter of the backbone."""

from torch import nn

from dylora.adapters.active_rank import without_adapters
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.head import task_head, unread_pooler
from dylora.methods.method import Method


class FullFineTuning(Method):
    """Full fine-tuning: every parameter is trained, and there are no adapters.

    The model is evaluated once, as "rank" `max_rank`, so that its figures stand where those of the others do.
    """

    name = "full"

    def prepare(self, model: nn.Module, config: DyLoRAConfig) -> None:
        """Freeze all but the task head, and give the model its single rank."""
        without_adapters(model, config).requires_grad_(False)
        for parameter in task_head(model):
            parameter.requires_grad_(True)

    def begin(self, model: nn.Module) -> None:
        """Train everything that an output depends on."""
        model.requires_grad_(True)
        for parameter in unread_pooler(model):
            parameter.requires_grad_(False)
