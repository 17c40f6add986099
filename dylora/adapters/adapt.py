"""Adapters in any model; needs neither Lightning nor a particular training loop."""

from typing import TypeVar

from torch import nn

from dylora.adapters.calls import refuse_bypassed, watch
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.head import task_head
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.merging import guard
from dylora.adapters.rank_state import RankState
from dylora.adapters.running_statistics import hold_statistics
from dylora.adapters.targets import find_targets
from dylora.errors import InputError

Model = TypeVar("Model", bound=nn.Module)


def adapt(model: Model, config: DyLoRAConfig) -> Model:
    """Put adapters into a model, in place, and freeze everything but them and the task head.

    The head is all that leads from the last hidden layer to the outputs of a Hugging Face model with a task head, the
    pooler that some backbones (BERT) have inside included; the output embedding of a language model is not one. The
    active rank starts at `max_rank`, where the model is a plain LoRA. Running statistics of what is frozen stay as
    they are, in training too.

    Args:
        model: A Hugging Face model, or any module if `config.target_modules` is given.
        config: What the adapters are made of.

    Returns:
        The same model.

    Raises:
        InputError: If no module fits the targets, one is known to be bypassed, the task head cannot be told from the
            backbone, or the model has adapters already.
    """
    if any(isinstance(module, AdaptedLayer) for module in model.modules()):
        raise InputError("model", "a model without adapters", "an adapted one", "call adapt once")
    head = task_head(model)
    targets = find_targets(model, config.target_modules, head)
    refuse_bypassed(model, (target.name for target in targets))
    model.requires_grad_(False)
    for parameter in head:
        parameter.requires_grad_(True)
    state = RankState(config, config.max_rank)
    wrapped: dict[nn.Module, AdaptedLayer] = {}  # a module that stands at two names keeps one adapter
    for target in targets:
        if target.module not in wrapped:
            wrapped[target.module] = AdaptedLayer(target.module, state, target.slices).train(target.module.training)
        model.set_submodule(target.name, wrapped[target.module])
    state.hooks += [*hold_statistics(model), *watch(model)]
    guard(model)
    return model
