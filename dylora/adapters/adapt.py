"""Adapters in any model: put them in, choose the active rank, merge them, take their weights out.

Needs neither Lightning nor a particular training loop.
"""

import operator
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.rank_state import RankState
from dylora.adapters.targets import find_targets
from dylora.errors import InputError

Model = TypeVar("Model", bound=nn.Module)
_SINGLE_RANK = "_dylora_single_rank"
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def adapt(model: Model, config: DyLoRAConfig) -> Model:
    """Put adapters into a model, in place, and freeze everything but them and the task head.

    The head is all that leads from the last hidden layer to the outputs of a Hugging Face model with a task head, the
    pooler that some backbones (BERT) have inside included; the output embedding of a language model is not one. The
    active rank starts at `max_rank`, where the model is a plain LoRA.

    Args:
        model: A Hugging Face model, or any module if `config.target_modules` is given.
        config: What the adapters are made of.

    Returns:
        The same model.

    Raises:
        InputError: If no module fits the targets, or the model has adapters already.
    """
    if any(isinstance(module, AdaptedLayer) for module in model.modules()):
        raise InputError("model", "a model without adapters", "an adapted one", "call adapt once")
    head = task_head(model)
    targets = find_targets(model, config.target_modules, head)
    model.requires_grad_(False)
    for parameter in head:
        parameter.requires_grad_(True)
    state = RankState(config, config.max_rank)
    wrapped: dict[nn.Module, AdaptedLayer] = {}  # a module that stands at two names keeps one adapter
    for target in targets:
        if target.module not in wrapped:
            wrapped[target.module] = AdaptedLayer(target.module, state, target.slices)
        model.set_submodule(target.name, wrapped[target.module])
    return model


def task_head(model: nn.Module) -> list[nn.Parameter]:
    """The parameters outside the backbone and of its pooler; none for a language model or a bare backbone."""
    backbone = getattr(model, getattr(model, "base_model_prefix", "") or " ", None)
    output_embedding = getattr(model, "get_output_embeddings", lambda: None)()
    if backbone is None or output_embedding is not None:
        return []
    pooler = getattr(backbone, "pooler", None)
    pooling = set() if pooler is None else {id(parameter) for parameter in pooler.parameters()}
    inside = {id(parameter) for parameter in backbone.parameters()} - pooling
    return [parameter for parameter in model.parameters() if id(parameter) not in inside]


def adapted_layers(model: nn.Module) -> list[AdaptedLayer]:
    """All adapted layers, in the model's order.

    Raises:
        ValueError: If there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, AdaptedLayer)]
    if not layers:
        raise ValueError("the model has no adapters; call adapt(model, config) first")
    return layers


def without_adapters(model: Model, config: DyLoRAConfig) -> Model:
    """Give a model the one rank `max_rank` and no adapter, in place, so that what evaluates every rank takes it too.

    Its parameters and its forward stay as they are; `set_rank` and `use_rank` have no effect on what it computes.

    Args:
        model: A model without adapters.
        config: Its `max_rank` is the rank.

    Returns:
        The same model.
    """
    setattr(model, _SINGLE_RANK, RankState(replace(config, min_rank=config.max_rank, rank_step=1), config.max_rank))
    return model


def rank_state(model: nn.Module) -> RankState:
    """The active rank that all adapted layers of the model share."""
    single: RankState | None = getattr(model, _SINGLE_RANK, None)
    return single or adapted_layers(model)[0].state


def set_rank(model: nn.Module, rank: int | Tensor, *, frozen: bool = False) -> None:
    """Activate a rank until the next call.

    Args:
        model: An adapted model.
        rank: A rank from 1 to `max_rank`, or a LongTensor (rows,) with one for each row of the coming batches. A
            batch whose rows are repeated k times (beam search) repeats the ranks likewise.
        frozen: Let gradients reach row and column `rank` of the factors alone (Algorithm 1, frozen mode).

    Raises:
        InputError: If a rank is no integer or outside 1 to `max_rank`, or a merged model is asked for another one.
    """
    state = rank_state(model)
    limit = state.config.max_rank
    rank = _plain(rank)
    lowest, highest = _bounds(rank)
    if lowest < 1 or highest > limit:
        given = rank if isinstance(rank, int) else f"ranks from {lowest} to {highest}"
        raise InputError("rank", f"from 1 to max_rank {limit}", given, "choose a rank inside the range")
    if state.merged_rank is not None and not lowest == highest == state.merged_rank:
        given = rank if isinstance(rank, int) else f"ranks from {lowest} to {highest}"
        raise InputError("rank", f"{state.merged_rank}, the merged rank", given, "call unmerge(model) first")
    if isinstance(rank, Tensor):
        if frozen:
            raise InputError("frozen", "off with a rank per row", frozen, "train at one rank a step")
        rank = rank.to(next(model.parameters()).device)
    state.set(rank, frozen)


def takes_rank_per_row(model: nn.Module) -> bool:
    """Whether the rows of a batch can run at ranks of their own.

    Not in DeBERTa-v2 with `share_att_key` (its released models): it sends one table of relative positions, which all
    rows share, through the query and key projections.
    """
    return not getattr(getattr(model, "config", None), "share_att_key", False)


@contextmanager
def use_rank(model: nn.Module, rank: int | Tensor, *, frozen: bool = False) -> Iterator[None]:
    """Activate a rank inside a `with` block; the one before comes back at its end, after an error too.

    Run the backward pass inside the block if the model checkpoints its activations: it computes them again.
    """
    state = rank_state(model)
    before = (state.rank, state.frozen)
    set_rank(model, rank, frozen=frozen)
    try:
        yield
    finally:
        state.set(*before)


def merge(model: nn.Module, rank: int) -> None:
    """Add the adapters at a rank to the base weights (in fp32), so that a forward costs what the base model's does.

    Raises:
        InputError: If the rank is outside the range, the model is merged already, or a base weight is quantised or
            belongs to another module too (a tied embedding).
    """
    layers = adapted_layers(model)
    state = layers[0].state
    if state.merged_rank is not None:
        raise InputError("model", "unmerged", f"merged at {state.merged_rank}", "call unmerge(model) first")
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    for layer in layers:
        weight = cast(Tensor, layer.base_layer.weight)
        if not weight.is_floating_point():
            raise InputError("model", "of floating-point weights", "quantised ones", "use it unmerged")
        if owners[id(weight)] > 1:
            raise InputError("model", "without tied weights among the adapted", "a shared one", "use it unmerged")
    set_rank(model, rank)
    assert isinstance(state.rank, int)
    for layer in layers:
        layer.merge(state.rank)
    state.merged_rank = state.rank


def unmerge(model: nn.Module) -> None:
    """Restore the base weights exactly; does nothing to a model that is not merged."""
    layers = adapted_layers(model)
    if layers[0].state.merged_rank is None:
        return
    for layer in layers:
        layer.unmerge()
    layers[0].state.merged_rank = None


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """What was trained: the adapters and the task head, by their names in the model, detached and not copied."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def load_adapter_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy what `adapter_state` gave into a model adapted in the same way.

    Raises:
        InputError: If a name is missing or too many, or a shape differs; nothing is copied then.
    """
    own = adapter_state(model)
    if wrong := sorted(own.keys() ^ state.keys()):
        given = f"{len(wrong)} names that only one of the two has, {wrong[0]} first"
        raise InputError("adapter state", "of this model's adapters and head", given, "adapt the model alike")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            given = f"{tuple(tensor.shape)} for {name}"
            raise InputError("adapter state", f"shaped {tuple(own[name].shape)}", given, "use the same max_rank")
    for name, tensor in state.items():
        own[name].copy_(tensor)


@dataclass(frozen=True)
class ParameterReport:
    """How many parameters a model has.

    Attributes:
        adapter: Those of the adapters, up to the rank that was asked for.
        head: Those of the trained task head.
        total: All of them, the adapters counted up to that rank.
        backbone: The trained ones of the backbone itself; none beside adapters.
    """

    adapter: int
    head: int
    total: int
    backbone: int = 0

    @property
    def trainable(self) -> int:
        """Adapter, head and backbone together."""
        return self.adapter + self.head + self.backbone

    def __str__(self) -> str:
        share = self.trainable / self.total
        first = f"{self.backbone:,} backbone" if self.backbone else f"{self.adapter:,} adapter"
        parts = f"{first}, {self.head:,} head"
        return f"{self.trainable:,} trainable of {self.total:,} ({share:.2%}): {parts}"


def count_parameters(model: nn.Module, rank: int | None = None) -> ParameterReport:
    """Count parameters with the adapters cut to a rank (None: `max_rank`), as the paper's tables do.

    Raises:
        InputError: If the rank is outside 1 to `max_rank`.
    """
    factors = [module for module in model.modules() if isinstance(module, LowRankFactors)]
    allocated = sum(p.numel() for f in factors for p in f.parameters())
    max_rank = rank_state(model).config.max_rank
    rank = max_rank if rank is None else rank
    if not 1 <= rank <= max_rank:
        raise InputError("rank", f"from 1 to max_rank {max_rank}", rank, "choose a rank inside the range")
    adapter = allocated // max_rank * rank
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    head = trained - allocated if factors else sum(p.numel() for p in task_head(model) if p.requires_grad)
    backbone = trained - allocated - head
    return ParameterReport(adapter, head, total - allocated + adapter, backbone)


def _plain(rank: int | Tensor) -> int | Tensor:
    """The rank as an int or a LongTensor (rows,); numpy's integers and tensors of one integer count as ints."""
    if isinstance(rank, Tensor):
        if rank.dtype in _INTEGERS and rank.dim() < 2 and rank.numel():
            return rank.long() if rank.dim() else int(rank)
    elif not isinstance(rank, bool):
        with suppress(TypeError):
            return operator.index(rank)
    raise InputError("rank", "an integer, or a tensor (rows,) of integers", repr(rank), "choose a rank from 1 up")


def _bounds(rank: int | Tensor) -> tuple[int, int]:
    if isinstance(rank, Tensor):
        return int(rank.min()), int(rank.max())
    return rank, rank
