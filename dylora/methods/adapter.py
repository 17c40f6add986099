"""Adapters beside a frozen backbone: DyLoRA and LoRA."""

from dataclasses import asdict
from typing import Any

from torch import nn

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.methods.method import Method


class Adapter(Method):
    """DyLoRA and LoRA: adapters and the task head are trained, the backbone is frozen."""

    name = "adapter"
    has_adapters = True

    def prepare(self, model: nn.Module, config: DyLoRAConfig) -> None:
        """Put the adapters in."""
        adapt(model, config)

    def computed(self, config: DyLoRAConfig) -> dict[str, Any]:
        """Largest rank, alpha, scaling and targets."""
        names = ("max_rank", "alpha", "scaling", "target_modules")
        values = {key: value for key, value in asdict(config).items() if key in names}
        if values["target_modules"] is not None:
            values["target_modules"] = list(values["target_modules"])
        return values
