"""Three ways to cut a trained adapter down to every lower rank."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import rank_state
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.functional import Scaling
from dylora.errors import InputError

Cut = Literal["alpha/b", "alpha/max_rank", "svd"]
CUTS: tuple[Cut, ...] = get_args(Cut)
_SCALINGS: dict[Cut, Scaling] = {"alpha/b": "alpha/b", "alpha/max_rank": "alpha/max_rank", "svd": "alpha/max_rank"}


@contextmanager
def cut(model: nn.Module, kind: Cut) -> Iterator[None]:
    """Cut an adapter in one way inside a `with` block, whatever scaling it was trained with.

    With `A|b` the first b rows of `lora_A` and `B|b` the first b columns of `lora_B`, rank b of a layer adds

    - `alpha/b`: `alpha / b * B|b A|b`, as the paper cuts the LoRA that it compares with;
    - `alpha/max_rank`: `alpha / max_rank * B|b A|b`, the first components with the scale that they were trained with;
    - `svd`: the best approximation of rank b (Eckart-Young) to `D = alpha / max_rank * B A`: its b largest singular
      values with their vectors. Factors of a fused projection are decomposed one by one.

    All three scale by `alpha / max_rank` at `b = max_rank` and agree there, with the adapter itself too, since every
    scaling does.

    Parameters, scaling and active rank are bit for bit the ones before at the end of the block, after an error too.

    Args:
        model: An adapted model, not merged.
        kind: The way.

    Raises:
        InputError: If there is no such way, or the model is merged.
    """
    check_cut(kind)
    state = rank_state(model)
    if state.merged_rank is not None:
        raise InputError("model", "unmerged", f"merged at {state.merged_rank}", "call unmerge(model) first")
    factors = [module for module in model.modules() if isinstance(module, LowRankFactors)]
    kept = [(parameter, parameter.data) for factor in factors for parameter in (factor.lora_A, factor.lora_B)]
    config, active = state.config, (state.rank, state.frozen)
    try:
        if kind == "svd":
            for factor in factors:
                _sort_by_singular_value(factor)
        state.config = replace(config, scaling=_SCALINGS[kind])
        state.set(*active)  # again, since the scales of a rank per row are kept with it
        yield
    finally:
        for parameter, data in kept:
            parameter.data = data
        state.config = config
        state.set(*active)


def check_cut(kind: str) -> None:
    """Refuse a name that is no cut.

    Raises:
        InputError: Listing the cuts.
    """
    if kind not in CUTS:
        raise InputError("--cut", "one of " + ", ".join(CUTS), repr(kind), "choose one of them")


@torch.inference_mode(False)  # a trainer evaluates inside it, and the parameters are to be ordinary tensors afterwards
@torch.no_grad()
def sorted_factors(lora_A: Tensor, lora_B: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of the same product whose components are its singular ones, the largest first.

    Two thin QR decompositions and the SVD of a matrix of the adapter's rank, in fp32; the product is never formed.

    Args:
        lora_A: (max_rank, d_in).
        lora_B: (d_out, max_rank).

    Returns:
        Both factors in the same shapes and types; the singular values are shared equally between them. Components
        beyond the smaller of d_in and d_out are zero.
    """
    left, upper = torch.linalg.qr(lora_B.float())  # (d_out, k), (k, max_rank)
    right, lower = torch.linalg.qr(lora_A.float().T)  # (d_in, l), (l, max_rank)
    u, values, vh = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    root = values.sqrt()
    new_A, new_B = torch.zeros_like(lora_A), torch.zeros_like(lora_B)
    new_A[: len(root)] = root[:, None] * (vh @ right.T)
    new_B[:, : len(root)] = (left @ u) * root
    return new_A, new_B


def _sort_by_singular_value(factors: LowRankFactors) -> None:
    factors.lora_A.data, factors.lora_B.data = sorted_factors(factors.lora_A.data, factors.lora_B.data)
