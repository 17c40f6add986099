"""The active rank of a model: set until the next call, or for a `with` block."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.layers import AdaptedLayer
from dylora.adapters.rank_state import RankState
from dylora.adapters.ranks import RankRange
from dylora.errors import InputError

Model = TypeVar("Model", bound=nn.Module)
_SINGLE_RANK = "_dylora_single_rank"
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def adapted_layers(model: nn.Module) -> list[AdaptedLayer]:
    """All adapted layers, in the model's order.

    Raises:
        InputError: If there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, AdaptedLayer)]
    if not layers:
        raise InputError("model", "one with adapters", "one without", "call adapt(model, config) first")
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
    """The active rank that all adapted layers of the model share.

    Raises:
        InputError: If the model has no adapters.
    """
    single: RankState | None = getattr(model, _SINGLE_RANK, None)
    return single or adapted_layers(model)[0].state


def set_rank(model: nn.Module, rank: int | Tensor, *, frozen: bool = False) -> None:
    """Activate a rank until the next call.

    Args:
        model: An adapted model.
        rank: A rank of the range that the adapters are trained at, or a LongTensor (rows,) with one for each row of
            the coming batches. Where the model does not keep its rows apart (`check_rank_per_row`), use one.
        frozen: Let gradients reach row and column `rank` of the factors alone (Algorithm 1, frozen mode).

    Raises:
        InputError: If a rank is no integer or not of the range, or a merged model is asked for another one.
    """
    state = rank_state(model)
    rank = _plain(rank)
    check_rank(rank, state.config.ranks)
    if state.merged_rank is not None and not _bounds(rank) == (state.merged_rank, state.merged_rank):
        raise InputError("rank", f"{state.merged_rank}, the merged rank", _told(rank), "call unmerge(model) first")
    if isinstance(rank, Tensor):
        if frozen:
            raise InputError("frozen", "off with a rank per row", frozen, "train at one rank a step")
        rank = rank.to(next(model.parameters()).device)
    state.set(rank, frozen)


@contextmanager
def use_rank(model: nn.Module, rank: int | Tensor, *, frozen: bool = False) -> Iterator[None]:
    """Activate a rank inside a `with` block; the one before comes back at its end, after an error too.

    Run the backward pass inside the block if the model checkpoints its activations: it computes them again. A model
    that is merged inside the block stays at the merged rank.
    """
    state = rank_state(model)
    before = (state.rank, state.frozen)
    set_rank(model, rank, frozen=frozen)
    try:
        yield
    finally:
        if state.merged_rank is None:
            state.set(*before)
        else:
            state.set(state.merged_rank, False)


@contextmanager
def no_adapter(model: nn.Module) -> Iterator[None]:
    """Switch the adapters off inside a `with` block: every adapted layer gives bit for bit what its base layer gives.

    A trained task head stays as it was trained.

    Raises:
        InputError: If the model has no adapters, or is merged.
    """
    state = adapted_layers(model)[0].state
    if state.merged_rank is not None:
        raise InputError("model", "unmerged", f"merged at {state.merged_rank}", "call unmerge(model) first")
    before, state.switched_off = state.switched_off, True
    try:
        yield
    finally:
        state.switched_off = before


@contextmanager
def repeated_rows(model: nn.Module, times: int) -> Iterator[None]:
    """Let every row of a batch stand `times` times in a row inside a `with` block, and its rank with it.

    Beam search and `num_return_sequences` repeat rows so; a part that runs before (an encoder) sees each row once.

    Args:
        model: An adapted model, with a rank for each row set.
        times: At least 1.

    Raises:
        InputError: If `times` is below 1.
    """
    if times < 1:
        raise InputError("times", "at least 1", times, "give the number of beams")
    state = rank_state(model)
    before, state.repeats = state.repeats, times
    try:
        yield
    finally:
        state.repeats = before


def check_rank(rank: int | Tensor, ranks: RankRange) -> None:
    """Refuse a rank, or ranks of rows, that the adapters are not trained at.

    Raises:
        InputError: Naming the ranks of the range.
    """
    lowest, highest = _bounds(rank)
    fix = "choose a rank inside the range"
    if lowest < ranks.min_rank or highest > ranks.max_rank:
        raise InputError("rank", f"from {ranks.min_rank} to max_rank {ranks.max_rank}", _told(rank), fix)
    steps = torch.as_tensor(rank) - ranks.min_rank
    if ranks.rank_step > 1 and bool((steps % ranks.rank_step).any()):
        allowed = "one of the ranks " + ", ".join(map(str, ranks))
        raise InputError("rank", allowed, _told(rank), "choose a rank that is trained")


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


def _told(rank: int | Tensor) -> str:
    if isinstance(rank, Tensor):
        return f"ranks from {int(rank.min())} to {int(rank.max())}"
    return str(rank)
