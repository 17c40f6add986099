"""Running statistics (BatchNorm's and the like): those of what is frozen stay, those of what is trained are saved."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def hold_statistics(model: nn.Module) -> list[RemovableHandle]:
    """Keep every frozen module that has saved buffers and no module inside in evaluation mode.

    `model.train()` puts a frozen BatchNorm into training mode: it would normalise by the batch instead of by what it
    was pretrained with, and its statistics would move and be in no checkpoint. Each call of such a module puts it
    back. Dropout is not concerned.

    Returns:
        The handles that undo it.
    """
    trained = _trained_modules(model)
    leaves = [module for module in model.modules() if next(module.children(), None) is None]
    held = [module for module in leaves if id(module) not in trained and any(_saved_buffers(module))]
    return [module.register_forward_pre_hook(_evaluate) for module in held]


def trained_buffers(model: nn.Module) -> dict[str, Tensor]:
    """The saved buffers, by name, of modules with nothing but trained parameters: they move in training."""
    trained = _trained_modules(model)
    modules = [(f"{prefix}." if prefix else "", module) for prefix, module in model.named_modules()]
    own = [(prefix, _saved_buffers(module)) for prefix, module in modules if id(module) in trained]
    return {prefix + name: buffer for prefix, buffers in own for name, buffer in buffers}


def _saved_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A module's own buffers that its state dict has."""
    own = dict(module.named_buffers(recurse=False))
    if own:
        saved = module.state_dict(keep_vars=True)
        yield from ((name, buffer) for name, buffer in own.items() if name in saved)


def _trained_modules(model: nn.Module) -> set[int]:
    """The ids of modules with nothing but trained parameters, and of all inside them."""
    trained: set[int] = set()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and all(parameter.requires_grad for parameter in parameters):
            trained.update(id(inner) for inner in module.modules())
    return trained


def _evaluate(module: nn.Module, args: Any) -> None:  # noqa: ANN401 (whatever the module takes)
    if module.training and not any(parameter.requires_grad for parameter in module.parameters()):
        module.eval()
