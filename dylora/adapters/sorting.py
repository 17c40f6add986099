"""Factors of the same product whose components stand in the order of what they are worth."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import rank_state
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.sensitivity import Sensitivity
from dylora.errors import InputError

Factors = dict[str, tuple[Tensor, Tensor]]
"""`lora_A` and `lora_B` of each pair of factors by its name in the model."""

_RIDGE = 1e-3  # of the mean diagonal: directions that no example has are worth little, and not nothing


@torch.no_grad()
def sort_(model: nn.Module, sensitivities: Mapping[str, Sensitivity] | None = None) -> None:
    """Sort an adapter's components in place, so that every lower rank is the best part of `max_rank`.

    The function at `max_rank` stays as it is, to rounding. The scaling becomes `alpha/max_rank`, with which rank b is
    the best approximation; `rank_state(model).config` says so, and is what a checkpoint has to carry. Parameters stay
    the same tensors, so an optimizer goes on with them.

    Args:
        model: An adapted model, not merged.
        sensitivities: From `gather_sensitivities`: sort by what dropping a component costs (the two-sided cut). Left
            out, by singular value.

    Raises:
        InputError: If the model is merged, or the sensitivities are those of another model.
    """
    state = rank_state(model)
    for factors, (lora_A, lora_B) in sorted_pairs(model, sensitivities):
        factors.lora_A.copy_(lora_A)
        factors.lora_B.copy_(lora_B)
    state.config = replace(state.config, scaling="alpha/max_rank")
    state.set(state.rank, state.frozen)  # again, since the scales of a rank per row are kept with it


def sorted_pairs(
    model: nn.Module, sensitivities: Mapping[str, Sensitivity] | None = None
) -> list[tuple[LowRankFactors, tuple[Tensor, Tensor]]]:
    """Every pair of factors of a model with its sorted factors; the model stays as it is.

    Raises:
        InputError: If the model is merged, or the sensitivities are those of another model.
    """
    named = named_factors(model, sensitivities)
    weights = sensitivities or {}
    return [(f, sorted_factors(f.lora_A.data, f.lora_B.data, weights.get(name))) for name, f in named.items()]


def kept_factors(model: nn.Module) -> Factors:
    """Copies of all factors of a model, on the CPU; `put_factors_` puts them back."""
    named = named_factors(model).items()
    return {name: (f.lora_A.detach().cpu().clone(), f.lora_B.detach().cpu().clone()) for name, f in named}


@torch.no_grad()
def put_factors_(model: nn.Module, factors: Factors) -> None:
    """Overwrite all factors of a model with those that were kept of it.

    Raises:
        InputError: If they are those of another model.
    """
    named = named_factors(model)
    if named.keys() != factors.keys():
        raise InputError("factors", "those of this model's adapter", "others", "keep them of this model")
    for name, (lora_A, lora_B) in factors.items():
        named[name].lora_A.copy_(lora_A)
        named[name].lora_B.copy_(lora_B)


def named_factors(
    model: nn.Module, sensitivities: Mapping[str, Sensitivity] | None = None
) -> dict[str, LowRankFactors]:
    """The pairs of factors of an adapted model by their names in it.

    Raises:
        InputError: If the model is merged, or the sensitivities are those of another model.
    """
    merged = rank_state(model).merged_rank
    if merged is not None:
        raise InputError("model", "unmerged", f"merged at {merged}", "call unmerge(model) first")
    named = {name: module for name, module in model.named_modules() if isinstance(module, LowRankFactors)}
    if sensitivities is not None:
        _check_fit(named, sensitivities)
    return named


@torch.inference_mode(False)  # a trainer evaluates inside it, and the parameters are to be ordinary tensors afterwards
@torch.no_grad()
def sorted_factors(lora_A: Tensor, lora_B: Tensor, sensitivity: Sensitivity | None = None) -> tuple[Tensor, Tensor]:
    """Factors of the same product whose components are its singular ones, the largest first.

    Two thin QR decompositions and the SVD of a matrix of the adapter's rank; the product is never formed. With
    sensitivities, the singular components of `L_Gᵀ B A L_C` (L the Cholesky factors of both matrices), taken back by a
    triangular solve each: the first b are then the best of all products of rank b in `|| L_Gᵀ (B A - .) L_C ||`.

    Args:
        lora_A: (max_rank, d_in).
        lora_B: (d_out, max_rank).
        sensitivity: Weighs inputs and outputs. Its Cholesky factors need 8 (d_in² + d_out²) bytes more.

    Returns:
        Both factors in the same shapes and types; the singular values are shared equally between them. Components
        beyond the smaller of d_in and d_out are zero.
    """
    if sensitivity is None:
        a, b = _decomposed(lora_A.float(), lora_B.float())
    else:
        in_root, out_root = _root(sensitivity.inputs), _root(sensitivity.gradients)
        a, b = _decomposed(lora_A.to(in_root) @ in_root, out_root.T @ lora_B.to(out_root))
        a = torch.linalg.solve_triangular(in_root, a, upper=False, left=False)
        b = torch.linalg.solve_triangular(out_root.T, b, upper=True)
    new_A, new_B = torch.zeros_like(lora_A), torch.zeros_like(lora_B)
    new_A[: len(a)], new_B[:, : len(a)] = a.to(new_A), b.to(new_B)
    return new_A, new_B


@torch.no_grad()
def component_values(lora_A: Tensor, lora_B: Tensor, sensitivity: Sensitivity | None = None) -> Tensor:
    """The singular values of a product, (max_rank,), the largest first; 0 beyond the smaller of d_in and d_out.

    With sensitivities those of the weighted product, in a unit that all layers of a model share: to second order the
    square of a value is what dropping the component costs.

    Args:
        lora_A: (max_rank, d_in).
        lora_B: (d_out, max_rank).
        sensitivity: Weighs inputs and outputs.
    """
    unit = 1.0
    a, b = lora_A.float(), lora_B.float()
    if sensitivity is not None:
        in_root, out_root = _root(sensitivity.inputs), _root(sensitivity.gradients)
        a, b = lora_A.to(in_root) @ in_root, out_root.T @ lora_B.to(out_root)
        means = _mean_diagonal(sensitivity.inputs) * _mean_diagonal(sensitivity.gradients)
        unit = (means / max(sensitivity.rows, 1)) ** 0.5
    a, _ = _decomposed(a, b)
    values = torch.zeros(len(lora_A), dtype=torch.float64)
    values[: len(a)] = a.square().sum(1).cpu() * unit  # a component has the root of its value in each factor
    return values


def _decomposed(lora_A: Tensor, lora_B: Tensor) -> tuple[Tensor, Tensor]:
    """(k, d_in) and (d_out, k), k the smallest of max_rank, d_in and d_out."""
    left, upper = torch.linalg.qr(lora_B)  # (d_out, k), (k, max_rank)
    right, lower = torch.linalg.qr(lora_A.T)  # (d_in, l), (l, max_rank)
    u, values, vh = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    root = values.sqrt()
    return root[:, None] * (vh @ right.T), (left @ u) * root


def _root(moments: Tensor) -> Tensor:
    """The Cholesky factor of a matrix of second moments, scaled to a mean diagonal of 1; the identity for zeros.

    In double precision, for which a device without it hands over to the CPU: taking the factor back in single
    precision would change the adapter by more than rounding.
    """
    wide = moments.to("cpu" if moments.device.type == "mps" else moments.device, torch.float64)
    identity = torch.eye(len(wide), dtype=wide.dtype, device=wide.device)
    mean = _mean_diagonal(wide)
    return torch.linalg.cholesky(wide / mean + _RIDGE * identity) if mean > 0 else identity


def _mean_diagonal(moments: Tensor) -> float:
    return moments.diagonal().mean().item()


def _check_fit(named: Mapping[str, LowRankFactors], sensitivities: Mapping[str, Sensitivity]) -> None:
    fix = "gather them on this model"
    if wrong := sorted(named.keys() ^ sensitivities.keys()):
        raise InputError("sensitivities", "those of this model's adapter", f"others ({wrong[0]})", fix)
    for name, factors in named.items():
        found, expected = sensitivities[name], (factors.lora_A.shape[1], factors.lora_B.shape[0])
        sizes = len(found.inputs), len(found.gradients)
        if sizes != expected:
            raise InputError("sensitivities", f"of widths {expected} for {name}", sizes, fix)
        if not (found.inputs.isfinite().all() and found.gradients.isfinite().all()):
            raise InputError("sensitivities", "finite", f"others for {name}", "look for overflow in the model")
