"""Whether an adapted layer is called, or bypassed by code that reads its weight."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from dylora.errors import InputError

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_MAMBA = ("x_proj", "dt_proj", "out_proj")
# Class of the module around a layer: its layers whose weights it hands to a kernel, on some devices or in some modes.
_READS_WEIGHTS: dict[str, tuple[str, ...]] = {
    "BambaMixer": ("out_proj",),
    "ConditionalDetrMHAttentionMap": ("k_proj",),
    "DabDetrMHAttentionMap": ("k_linear",),
    "DetrMHAttentionMap": ("k_proj",),
    "FalconH1Mixer": ("out_proj",),
    "FalconMambaMixer": _MAMBA,
    "GraniteMoeHybridMambaLayer": ("out_proj",),
    "JambaMambaMixer": ("dt_proj",),
    "LSHSelfAttention": ("query_key", "value"),  # Reformer, when it goes on from a cache
    "Mamba2Mixer": ("out_proj",),
    "MambaMixer": _MAMBA,
    "MaskFormerDetrMHAttentionMap": ("k_proj",),
    "MobileBertLMPredictionHead": ("dense", "decoder"),
    "NemotronHMamba2Mixer": ("out_proj",),
    "WavLMAttention": _ATTENTION,
    "Zamba2MambaMixer": ("out_proj",),
}
_WITHOUT_FORWARD = (nn.ModuleList, nn.ModuleDict)
_FAST_PATH = ("linear1", "linear2")  # of torch's encoder layer


class Calls:
    """What happened to one adapted layer: was it called, was its weight read.

    Attributes:
        ever: Whether it was ever called.
    """

    def __init__(self) -> None:
        self.ever = False
        self._called = False
        self._read = False

    def called(self) -> None:
        """Note a call; compiled code is not watched."""
        if not torch.compiler.is_compiling():
            self.ever = self._called = True

    def read(self) -> None:
        """Note that the weight was read."""
        if not torch.compiler.is_compiling():
            self._read = True

    def begin(self) -> None:
        """Start to watch one forward of the module around the layer."""
        self._called = self._read = False

    @property
    def bypassed(self) -> bool:
        """Whether the weight was read since `begin` and the layer not called."""
        return self._read and not self._called


def refuse_bypassed(model: nn.Module, names: Iterable[str]) -> None:
    """Refuse layers that are known to be read by the module around them instead of being called.

    Args:
        model: The model, not yet adapted.
        names: Dotted names of the layers to adapt.

    Raises:
        InputError: Naming the layer and the module.
    """
    for name in names:
        parent_name, _, child = name.rpartition(".")
        parent = model.get_submodule(parent_name)
        kind = type(parent).__name__
        fast_path = isinstance(parent, nn.TransformerEncoderLayer) and parent.self_attn.batch_first
        if child in _READS_WEIGHTS.get(kind, ()) or (fast_path and child in _FAST_PATH):
            reason = "which in evaluation reads its weight" if fast_path else "which reads its weight"
            fix = "build it with batch_first=False, or adapt others" if fast_path else "adapt others"
            allowed = "layers that are called"
            raise InputError(
                "target_modules", allowed, f"{name} of {kind}, {reason} and so would miss the adapter", fix
            )


def watch(model: nn.Module) -> list[RemovableHandle]:
    """Make every module that holds adapted layers look, after its forward, whether it bypassed one of them.

    Returns:
        The handles of the hooks, to take them out again.
    """
    handles = []
    for module in model.modules():
        if not isinstance(module, _WITHOUT_FORWARD) and any(_watched(module)):
            handles += [module.register_forward_pre_hook(_begin), module.register_forward_hook(_end)]
    return handles


def uncalled_layers(model: nn.Module) -> list[str]:
    """Names of the adapted layers that no forward has reached since `adapt`."""
    layers = [(name, calls) for name, m in model.named_modules() if isinstance(calls := m.__dict__.get("calls"), Calls)]
    return [name for name, calls in layers if not calls.ever]


def check_calls(model: nn.Module) -> None:
    """Refuse adapted layers that no forward has reached since `adapt`; call it after a first step or epoch.

    A layer may be left out on purpose: LayerDrop and experts without tokens leave out some for a while, an encoder
    whose outputs are given and one of two towers for good. So nothing calls this unasked.

    Raises:
        InputError: Naming the layers.
    """
    if never := uncalled_layers(model):
        given = f"{len(never)} that no forward reached: {', '.join(never)}"
        raise InputError("target_modules", "layers that are called", given, "leave them out, or run what they are for")


def _watched(module: nn.Module) -> Iterator[tuple[str, Calls]]:
    """Name and calls of the adapted layers that a module's own forward is to call."""
    for name, child in module.named_children():
        if isinstance(calls := child.__dict__.get("calls"), Calls):
            yield name, calls
        elif isinstance(child, _WITHOUT_FORWARD):
            yield from ((f"{name}.{inner}", calls) for inner, calls in _watched(child))


def _begin(module: nn.Module, args: Any) -> None:  # noqa: ANN401
    if not torch.compiler.is_compiling():
        for _, calls in _watched(module):
            calls.begin()


def _end(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ANN401
    if torch.compiler.is_compiling():
        return
    bypassed = [name for name, calls in _watched(module) if calls.bypassed]
    if bypassed:
        kind = type(module).__name__
        given = f"{', '.join(bypassed)} of {kind}, which read their weights, so that the adapters had no effect"
        raise InputError("target_modules", "layers that are called", given, "adapt others")
