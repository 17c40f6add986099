"""An adapter at one rank as PEFT's LoRA: its configuration and its tensors, without PEFT and without files."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from dylora.adapters.active_rank import adapted_layers, check_rank
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.linear import features
from dylora.adapters.peft_modules import head_modules, shortest_names, task_of
from dylora.adapters.slices import add_to_slices
from dylora.adapters.sorting import named_factors
from dylora.errors import InputError

Ranks = int | Mapping[str, int]
PREFIX = "base_model.model."
"""What stands before the names of modules in PEFT's files."""


@dataclass(frozen=True)
class PeftAdapter:
    """A LoRA as PEFT's files hold it.

    Attributes:
        config: The content of `adapter_config.json`, in plain types.
        state: The content of `adapter_model.safetensors`: tensors of their own, on the CPU.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]


@dataclass(frozen=True)
class _Pair:
    rows: Tensor  # lora_A, (rank, d_in)
    columns: Tensor  # lora_B, (d_out, rank)
    factor: float

    @property
    def alpha(self) -> float:
        """PEFT multiplies with alpha over the rank."""
        alpha = self.factor * len(self.rows)
        return int(alpha) if alpha == int(alpha) else alpha


@torch.no_grad()
def peft_adapter(
    model: nn.Module, rank: Ranks, base_model: str | None = None, revision: str | None = None
) -> PeftAdapter:
    """An adapted model's adapter at a rank as a LoRA of PEFT that computes the same.

    `lora_alpha` is such that PEFT's factor, alpha over its rank, is ours at this rank. The slices of a fused projection
    become one pair of the sum of their ranks: `lora_A` one below the other, `lora_B` zero outside the columns of each.
    What was trained beside the adapters (the task head, a pooler) is in `modules_to_save`. Inside `cut` it is the
    adapter as it was cut.

    Args:
        model: An adapted model, not merged.
        rank: A rank of the range; or, of a sorted adapter, a rank for each `LowRankFactors` by its name, whose later
            components are left out (the scale is that of `max_rank`).
        base_model: Name or folder of the backbone, as PEFT is to load it.
        revision: Its commit on the hub.

    Raises:
        InputError: If a rank is outside the range or for an unknown module, the model is merged, or PEFT has no form
            for it: a layer that two modules share, or trained parameters outside of any module of their own.
    """
    layers = _named_layers(model)
    pairs = {name: _pair(name, layer, _ranks(model, rank)) for name, layer in layers.items()}
    head = head_modules(model)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base_model,
        "revision": revision,
        **task_of(model),
        "inference_mode": True,
        "target_modules": shortest_names(model, list(layers)),
        **_patterns(pairs),
        "fan_in_fan_out": any(isinstance(layer.base_layer, Conv1D) for layer in layers.values()),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": True,
        "modules_to_save": list(head) or None,
    }
    return PeftAdapter(config, {key: _own(value) for key, value in _state(pairs, head)})


def _ranks(model: nn.Module, rank: Ranks) -> dict[str, tuple[int, float]]:
    """The rank and the factor of each pair."""
    named, state = named_factors(model), adapted_layers(model)[0].state
    if isinstance(rank, int):
        check_rank(rank, state.config.ranks)
        return dict.fromkeys(named, (rank, state.factor(rank)))
    if wrong := sorted(named.keys() ^ rank.keys()):
        raise InputError("rank", "one for each module of the adapter", f"others ({wrong[0]})", "name its modules")
    for name, own in rank.items():
        if not 1 <= own <= len(named[name].lora_A):
            given = f"{own} for {name}"
            raise InputError("rank", f"from 1 to {len(named[name].lora_A)}", given, "choose a rank inside the range")
    return {name: (own, state.factor(state.config.max_rank)) for name, own in rank.items()}


def _pair(name: str, layer: AdaptedLayer, ranks: Mapping[str, tuple[int, float]]) -> _Pair:
    if isinstance(layer.factors, LowRankFactors):
        rank, factor = ranks[f"{name}.factors"]
        return _Pair(layer.factors.lora_A[:rank], layer.factors.lora_B[:, :rank], factor)
    rows, columns, factor = [], [], 0.0
    for place, own in layer.factors.items():
        assert isinstance(own, LowRankFactors)
        rank, factor = ranks[f"{name}.factors.{place}"]
        outputs = own.lora_B.new_zeros(rank, features(layer.base_layer)[1])
        rows.append(own.lora_A[:rank])
        columns.append(add_to_slices(outputs, [layer.slices[place]], [own.lora_B[:, :rank].T]).T)
    return _Pair(torch.cat(rows), torch.cat(columns, dim=1), factor)


def _named_layers(model: nn.Module) -> dict[str, AdaptedLayer]:
    """The adapted layers by their names; PEFT wraps a layer in one place alone."""
    adapted_layers(model)
    places = Counter(
        id(child) for module in model.modules() for child in module._modules.values() if isinstance(child, AdaptedLayer)
    )
    layers = {name: module for name, module in model.named_modules() if isinstance(module, AdaptedLayer)}
    if shared := [name for name, layer in layers.items() if places[id(layer)] > 1]:
        given = f"two modules that share one ({shared[0]})"
        raise InputError("--format peft", "of layers with one place each", given, "export it merged")
    return layers


def _patterns(pairs: Mapping[str, _Pair]) -> dict[str, Any]:
    """The rank and alpha that most pairs have, and those of the others by name."""
    (rank, alpha), _ = Counter((len(pair.rows), pair.alpha) for pair in pairs.values()).most_common(1)[0]
    ranks = {name: len(pair.rows) for name, pair in pairs.items() if len(pair.rows) != rank}
    alphas = {name: pair.alpha for name, pair in pairs.items() if pair.alpha != alpha}
    return {"r": rank, "lora_alpha": alpha, "rank_pattern": ranks, "alpha_pattern": alphas}


def _state(pairs: Mapping[str, _Pair], head: Mapping[str, nn.Module]) -> Iterator[tuple[str, Tensor]]:
    for name, pair in pairs.items():
        yield f"{PREFIX}{name}.lora_A.weight", pair.rows
        yield f"{PREFIX}{name}.lora_B.weight", pair.columns
    for name, module in head.items():
        for key, value in module.state_dict().items():
            yield f"{PREFIX}{name}.{key}", value


def _own(tensor: Tensor) -> Tensor:
    """A copy on the CPU that shares no memory, as files need it."""
    return tensor.detach().cpu().clone().contiguous()
