"""What a forward computes before its first adapter is the same at every rank: computed once for a batch.

These are the embeddings, the layers below the first adapted one, and in that one the base projections of what goes in.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dylora.adapters.layers import AdaptedLayer


@dataclass(frozen=True)
class _Call:
    module: nn.Module
    inputs: tuple[Any, ...]
    output: Any


class SharedPrefix:
    """The parts of an adapted model that may come before its first adapter.

    Args:
        model: An adapted model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.frozen = list({id(module): module for module in _frozen_parts(model)}.values())
        self.adapted = [module for module in model.modules() if isinstance(module, AdaptedLayer)]
        self.bases = {id(layer.base_layer) for layer in self.adapted}

    @contextmanager
    def of_one_batch(self) -> Iterator["BatchMemory"]:
        """A memory for forwards of the same batch, emptied at the end of the `with` block; it changes no module."""
        memory = BatchMemory(self)
        try:
            yield memory
        finally:
            memory.forget()


class BatchMemory:
    """Keeps what frozen modules gave in the first forward of a batch, and gives it again for the same inputs.

    The calls of a forward are compared with those of the first one in their order, by module and inputs. From the first
    that differs on, everything is computed. So a forward gives the same bits, unless something writes into a tensor
    that is kept, which whoever uses this has to find out (`StackedRanks` does on the first batch). Modules in training
    mode, and forwards that record gradients, are computed always.

    Args:
        prefix: The parts of the model.
    """

    def __init__(self, prefix: SharedPrefix) -> None:
        self._prefix = prefix
        self.kept: list[_Call] = []
        self._forwards, self._place = 0, 0
        self._adapted_input: Any = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """A forward inside a `with` block keeps or reuses; the modules are as before afterwards.

        Put it around a forward alone: whatever else ran inside would be taken for one of the batch.
        """
        with ExitStack() as stack:
            for module in self._prefix.frozen:
                stack.callback(_restorer(module))
                module.forward = self._remembering(module, module.forward)  # type: ignore[method-assign]
            stack.enter_context(_hook(self._prefix.model, self._begin))
            for layer in self._prefix.adapted:
                stack.enter_context(_hook(layer, self._reach_adapter))
            yield

    def forget(self) -> None:
        """Let go of all that is kept."""
        self.kept, self._forwards, self._adapted_input = [], 0, None

    def _begin(self, *_: object) -> None:
        self._forwards, self._place = self._forwards + 1, 0

    def _reach_adapter(self, layer: nn.Module, args: tuple[Any, ...]) -> None:
        if self._adapted_input is None and args:
            self._adapted_input = args[0]

    def _remembering(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (those of any module)
            if module.training or torch.is_grad_enabled():
                return forward(*args, **kwargs)
            inputs = (args, kwargs)
            if self._forwards == 1:
                shared = self._is_before_adapters(inputs)
                output = forward(*args, **kwargs)
                if shared:
                    self.kept.append(_Call(module, inputs, self._own(module, output)))
                return output
            known = self.kept[self._place] if self._place < len(self.kept) else None
            if known is not None and known.module is module and _same(known.inputs, inputs):
                self._place += 1
                return self._own(module, known.output)
            self._place = len(self.kept)
            return forward(*args, **kwargs)

        return run

    def _own(self, module: nn.Module, output: Any) -> Any:  # noqa: ANN401
        """The output of a module; a copy of a base layer's, into which its adapter may be added."""
        return output.clone() if id(module) in self._prefix.bases else output

    def _is_before_adapters(self, inputs: tuple[Any, ...]) -> bool:
        """Whether no adapter was reached yet, or the only tensor is what the first one gets."""
        return self._adapted_input is None or all(each is self._adapted_input for each in _tensors(inputs))


def _frozen_parts(model: nn.Module) -> Iterator[nn.Module]:
    """The largest parts of a model that hold no adapter, and the base layers of those that are adapted."""
    for child in model.children():
        if isinstance(child, AdaptedLayer):
            yield child.base_layer
        elif isinstance(child, nn.ModuleList | nn.ModuleDict) or _has_adapter(child):
            yield from _frozen_parts(child)
        else:
            yield child


def _has_adapter(module: nn.Module) -> bool:
    return any(isinstance(each, AdaptedLayer) for each in module.modules())


def _restorer(module: nn.Module) -> Callable[[], None]:
    """Puts a module's forward back as it is now: that of its class, or one of its own."""
    own = vars(module).get("forward")

    def restore() -> None:
        if own is None:
            del module.forward
        else:
            module.forward = own  # type: ignore[method-assign]

    return restore


@contextmanager
def _hook(module: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _tensors(value: Any) -> Iterator[Tensor]:  # noqa: ANN401
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(each)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether two arguments are the same, tensors bit for bit; an object of an unknown kind is no other's."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool | int | float | str) and one == other
