"""The base of the methods: what is trained of a backbone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dylora.adapters.active_rank import rank_state
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.optim import OptimizerName, build_optimizer
from dylora.errors import InputError
from dylora.runs.options import RecordsOptions


class Method(RecordsOptions, nn.Module):
    """Base of the methods: what is put into the model, what is added to the loss, what is reported.

    What a method trains besides the model's parameters is a parameter of its own.

    Attributes:
        name: Its name in checkpoints and in `rank_metrics.json`.
        has_adapters: Whether it trains adapters, which have rows to update alone and can be cut.
    """

    name: str
    has_adapters = False

    def check_optimizer(self, name: OptimizerName) -> None:
        """Refuse an optimizer that is about the rows of adapters where there are none.

        Raises:
            InputError: If it is.
        """
        if not self.has_adapters and name != "adamw":
            fix = "set model.optimizer: adamw; there are no rows of adapters"
            raise InputError("model.optimizer", f"adamw with method {type(self).__name__}", name, fix)

    def check_dtype(self, dtype: torch.dtype) -> None:
        """Refuse a backbone of few bits where it is trained itself: small updates would be rounded away.

        Args:
            dtype: Type of the backbone's weights.

        Raises:
            InputError: If it is.
        """
        if not self.has_adapters and dtype == torch.bfloat16:
            fix = "leave it out; all that is trained is held in fp32"
            raise InputError("model.backbone_dtype", f"fp32 with method {type(self).__name__}", "bf16", fix)

    def prepare(self, model: nn.Module, config: DyLoRAConfig) -> None:
        """Freeze the backbone, by whose frozen weights it is identified, and give it its ranks; in place."""
        raise NotImplementedError

    def begin(self, model: nn.Module) -> None:
        """Make the identified model ready for training, in place."""

    def computed(self, config: DyLoRAConfig) -> dict[str, Any]:
        """The part of the adapters' configuration that decides what the trained weights compute."""
        return {}

    def optimizer(self, name: OptimizerName, model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
        """The named optimizer over all that is trained."""
        state = rank_state(model)
        return build_optimizer(name, model, lr, weight_decay, lambda: state.updated_rows)

    def training_loss(self, loss: Tensor, model: nn.Module, progress: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The whole loss of a training step, and what else is to be logged of it.

        Args:
            loss: The task's loss, ().
            model: The model.
            progress: Share of the run's steps that are done, from 0 to 1.
        """
        return loss, {}

    def report(self, model: nn.Module) -> dict[str, Any] | None:
        """What training made of the model, in plain types; None where there is nothing to say."""
        return None

    def report_text(self, report: Mapping[str, Any]) -> str:
        """A report as lines to be read.

        Args:
            report: What `report` gave.
        """
        return "\n".join(f"{key}: {value}" for key, value in report.items())
