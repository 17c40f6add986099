"""The products of several pairs of factors with one input, each added to its slice of one output."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dylora.adapters.factors import LowRankFactors
from dylora.adapters.functional import per_row, truncated
from dylora.adapters.rank_state import RankState
from dylora.adapters.slices import OutputSlice, add_to_slices


def add_products(
    output: Tensor, slices: Sequence[OutputSlice], x: Tensor, pairs: Sequence[LowRankFactors], in_place: bool
) -> Tensor:
    """Eq. 7 for a fused projection: add to each slice the truncated product of a pair of its own.

    The down projections of all pairs are one matrix product. Where the slices lie side by side, the up projections are
    added by the matrix product itself, without a tensor as large as a slice.

    Args:
        output: (..., out_features), that of the base layer.
        slices: The slices, without overlap.
        x: (..., in_features).
        pairs: For each slice its factors, of one model.
        in_place: Whether the output may be changed while gradients are recorded: no backward reads it.
    """
    state = pairs[0].state
    x = pairs[0].cast(x)
    down, up = _truncated(state, [pair.in_type_of(x) for pair in pairs])
    hidden = F.linear(x, torch.cat(down)).view(*x.shape[:-1], len(pairs), len(down[0]))  # (..., pairs, rank)
    if state.row_weights is None:
        assert isinstance(state.rank, int)
        hidden = hidden * state.factor(state.rank)
    else:  # multiplied before the cast, as in `rowwise_product`
        hidden = (hidden * per_row(state.weights_for(x), hidden.dim())).to(hidden.dtype)
    if _side_by_side(output, slices) and output.dtype == hidden.dtype:
        in_place = in_place or not torch.is_grad_enabled()
        rows = [b.T.to(hidden.dtype).contiguous() for b in up]
        return cast(Tensor, _AddProducts.apply(output, hidden, tuple(slices), in_place, *rows))  # type: ignore[no-untyped-call]
    parts = [F.linear(h, b) for h, b in zip(hidden.unbind(-2), up, strict=True)]
    return add_to_slices(output, slices, parts)


def _side_by_side(output: Tensor, slices: Sequence[OutputSlice]) -> bool:
    """Whether every slice is a matrix within the output; a compiler, which joins operations itself, is told not."""
    one_block = all(place.groups == 1 for place in slices)
    return one_block and not torch.compiler.is_compiling() and output.is_contiguous()


def _truncated(state: RankState, pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    """All `lora_A` and all `lora_B` at the active rank; whole where every row has its own."""
    if state.row_weights is None:
        assert isinstance(state.rank, int)
        pairs = [truncated(a, b, state.rank, state.frozen) for a, b in pairs]
    return [a for a, _ in pairs], [b for _, b in pairs]


class _AddProducts(torch.autograd.Function):
    """Slice i of the output plus `B_i h_i`, with each B transposed and contiguous: half the time of its products."""

    generate_vmap_rule = True

    @staticmethod
    def forward(output: Tensor, hidden: Tensor, slices: tuple[OutputSlice, ...], in_place: bool, *up: Tensor) -> Tensor:
        # A tensor of its own on the same memory: autograd would copy the gradient of a view that is changed in place.
        output = output.detach() if in_place else output.clone()
        rows = output.view(-1, output.shape[-1])
        for place, h, b in zip(slices, _rows_of_pairs(hidden), up, strict=True):
            rows.narrow(1, place.start, place.width).addmm_(h, b)
        return output

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401 (autograd's own)
        _, hidden, ctx.slices, _, *up = inputs
        ctx.save_for_backward(hidden, *up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        hidden, *up = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        parts = [rows.narrow(1, place.start, place.width) for place in ctx.slices]
        of_hidden = torch.stack([part @ b.T for part, b in zip(parts, up, strict=True)], dim=1).view(hidden.shape)
        of_up = [h.T @ part for part, h in zip(parts, _rows_of_pairs(hidden), strict=True)]
        return grad, of_hidden, None, None, *of_up


def _rows_of_pairs(hidden: Tensor) -> tuple[Tensor, ...]:
    """(..., pairs, rank) as a matrix (rows, rank) of each pair."""
    return hidden.reshape(-1, *hidden.shape[-2:]).unbind(1)
