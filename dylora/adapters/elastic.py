"""A LoRA of PEFT in a model of one's own, its components sorted so that it works at every rank."""

from collections import Counter
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import adapted_layers
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.export import PeftAdapter
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.linear import features, is_linear_like
from dylora.adapters.peft_lora import Pair, lora_pairs
from dylora.adapters.sensitivity import Sensitivities
from dylora.adapters.sorting import sort_
from dylora.errors import InputError


def adapt_from_peft(
    model: nn.Module, adapter: PeftAdapter, calibrate: Callable[[nn.Module], Sensitivities] | None = None
) -> nn.Module:
    """Adapt a model with a LoRA of PEFT, in place: at `max_rank` what PEFT computes, below its best parts.

    The largest rank is that of the LoRA's largest layer; a layer of a smaller rank is whole from its own rank up. The
    scale is `alpha/max_rank`, with the factor that most layers have; what another layer's differs goes into `lora_B`.
    Layers are sorted by thin QR decompositions; no product is formed.

    Args:
        model: The base model, without adapters.
        adapter: The content of PEFT's two files.
        calibrate: Gathers sensitivities of the adapted model, for the two-sided cut; left out, the SVD sorts.

    Returns:
        The same model.

    Raises:
        InputError: If the LoRA is of a variant that is not plain, or of another base model.
    """
    pairs, others = lora_pairs(adapter)
    _check_fit(model, pairs)
    max_rank = max(len(pair.down) for pair in pairs.values())
    (factor, _), *_ = Counter(pair.factor for pair in pairs.values()).most_common(1)
    dropout = float(adapter.config.get("lora_dropout") or 0.0)
    targets = sorted(pairs)
    alpha = factor * max_rank
    adapt(model, DyLoRAConfig(max_rank, alpha=alpha, scaling="alpha/max_rank", dropout=dropout, target_modules=targets))
    _fill(model, pairs, factor)
    _put(model, others)
    sort_(model, calibrate(model) if calibrate else None)
    return model


def _check_fit(model: nn.Module, pairs: Mapping[str, Pair]) -> None:
    modules = dict(model.named_modules(remove_duplicate=False))
    allowed, fix = f"an adapter of this base model ({type(model).__name__})", "give the adapter's own --backbone"
    for name, pair in pairs.items():
        if name not in modules or not is_linear_like(modules[name]):
            raise InputError("PEFT_DIR", allowed, f"one of {name}, which is no linear layer in it", fix)
        expected, found = features(modules[name]), (pair.down.shape[1], len(pair.up))
        if expected != found:
            given = f"one of widths {found} for {name}, which has {expected}"
            raise InputError("PEFT_DIR", allowed, given, fix)


@torch.no_grad()
def _fill(model: nn.Module, pairs: Mapping[str, Pair], factor: float) -> None:
    """Factors padded with zeros to the largest rank."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, AdaptedLayer)}
    assert len(layers) == len(adapted_layers(model))
    for name, layer in layers.items():
        pair = pairs[name]
        (factors,) = (module for module in layer.modules() if isinstance(module, LowRankFactors))
        rank = len(pair.down)
        factors.lora_A.zero_()[:rank] = pair.down
        factors.lora_B.zero_()[:, :rank] = pair.up * (pair.factor / factor)


@torch.no_grad()
def _put(model: nn.Module, others: Mapping[str, Tensor]) -> None:
    """What was trained beside the LoRA, which then counts as trained here too."""
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, value in others.items():
        if name not in own or own[name].shape != value.shape:
            found = f"of shape {tuple(own[name].shape)}" if name in own else "not there"
            given = f"one with {name} {tuple(value.shape)}, which is {found}"
            fix = "give the adapter's own --backbone"
            raise InputError("PEFT_DIR", f"an adapter of this base model ({type(model).__name__})", given, fix)
        own[name].copy_(value)
        own[name].requires_grad_(isinstance(own[name], nn.Parameter))
