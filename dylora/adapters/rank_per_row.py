"""Whether the rows of a batch can run at ranks of their own: found out on a batch, and remembered.

A rank per row goes by dimension 0 of a layer's input. In some models that is not the batch: Longformer and FSMT are
time-first inside, experts get the tokens that are routed to them, DeBERTa-v2 sends a table of positions through its
projections. The shape alone does not tell, since a batch may have as many rows as tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import rank_state, use_rank
from dylora.adapters.factors import LowRankFactors
from dylora.errors import InputError

Run = Callable[[Sequence[int]], Tensor]
Outputs = TypeVar("Outputs")
# What is right differs by rounding; what is wrong by as much as ranks differ. Factors at random make that much.
# Both numbers are shares: of the difference between ranks that may be wrong, and of the outputs that ranks must change.
_TOLERANCE, _LEAST_DIFFERENCE = 0.02, 1e-4
_LOW_PRECISION = (0.1, 1e-2)
_FACTOR_SIZE = 2.0


def takes_rank_per_row(model: nn.Module) -> bool:
    """Whether the rows of a batch can run at ranks of their own, as far as is known.

    Not in DeBERTa-v2 with `share_att_key` (its released models): it sends one table of relative positions, which all
    rows share, through the query and key projections. Nor where a check on a batch (`check_rank_per_row`, and the
    modules' own on the first batch) found rows that differ from what they give at one rank for all.
    """
    if getattr(getattr(model, "config", None), "share_att_key", False):
        return False
    return all(rank_state(model).row_checks.values())


def check_rank_per_row(model: nn.Module, inputs: Mapping[str, Any]) -> bool:
    """Find out, on a batch, whether its rows can run at ranks of their own (`set_rank` with a tensor).

    Every row's outputs at a rank of its own are compared with its outputs where all rows are at that rank. Meanwhile
    the factors are random ones, so that ranks differ in an untrained model too, and the model is in evaluation mode
    without gradients; factors, modes, rank and random numbers are as before afterwards, bit for bit.

    A batch on which ranks make no difference (a single token, say) decides nothing: False is returned, not remembered.

    Args:
        model: An adapted model, not merged.
        inputs: Keyword arguments of its forward; dimension 0 of their tensors is the batch.

    Returns:
        Whether it is right; `takes_rank_per_row` tells it from then on.

    Raises:
        InputError: If the model is merged, or the inputs hold no tensor.
    """
    tensors = [value for value in inputs.values() if isinstance(value, Tensor)]
    if not tensors:
        raise InputError("inputs", "keyword arguments with tensors", list(inputs), "give those of the model's forward")
    every = tuple(rank_state(model).config.ranks)
    if len(every) == 1:
        return True
    rows, ranks = tensors[0].shape[0], sorted({every[0], every[len(every) // 2], every[-1]})
    own = torch.arange(rows) % len(ranks)  # place of each row's rank in the range

    def at(rank: int | Tensor) -> list[Tensor]:
        with use_rank(model, rank):
            return _by_row(model(**inputs), rows)

    def compare() -> bool | None:
        alone = [torch.stack(values) for values in zip(*map(at, ranks), strict=True)]  # (ranks, rows, values) each
        together = _attempt(lambda: at(torch.tensor(ranks)[own]))
        if not together or [value.shape for value in together] != [value.shape[1:] for value in alone]:
            return False
        expected = [value[own.to(value.device), torch.arange(rows, device=value.device)] for value in alone]
        verdicts = {_agree(model, *values) for values in zip(together, expected, alone, strict=True)} - {None}
        return all(verdicts) if verdicts else None

    verdict = probed(model, compare)
    if verdict is not None:
        rank_state(model).row_checks["forward"] = verdict
    return bool(verdict)


def may_stack(model: nn.Module, kind: str, ranks: Sequence[int], run: Run) -> bool:
    """Whether a batch, repeated once for each rank, gives at every rank what it gives there alone.

    The first batch of each kind is run both ways, as `check_rank_per_row` does; what was found is remembered. A batch
    that shows no difference between ranks decides nothing: the next one is asked again.

    Args:
        model: An adapted model, or one with a single rank.
        kind: Name of the way of running it, such as `forward`.
        ranks: The ranks to stack.
        run: Gives the outputs (ranks * rows, ...) of the batch at ranks, stacked if there are several.
    """
    if len(ranks) == 1:
        return True
    if not takes_rank_per_row(model):
        return False
    checks = rank_state(model).row_checks

    def compare() -> bool | None:
        alone = torch.stack([run([rank]) for rank in ranks])
        together = _attempt(lambda: run(ranks))
        if together is None or together.numel() != alone.numel():
            return False
        return _agree(model, together.view_as(alone), alone, alone)

    if kind not in checks and (verdict := probed(model, compare)) is not None:
        checks[kind] = verdict
    return checks.get(kind, False)


def _agree(model: nn.Module, together: Tensor, expected: Tensor, alone: Tensor) -> bool | None:
    """Whether outputs are the expected ones, measured by how much ranks differ; None if they do not.

    Args:
        model: The model.
        together: Outputs of rows at ranks of their own.
        expected: The same rows' outputs at one rank for all; may hold values that are not finite, as masks do.
        alone: (ranks, ...), outputs at each rank.
    """
    low = any(p.dtype not in (torch.float32, torch.float64) for p in model.parameters())
    tolerance, least = _LOW_PRECISION if low else (_TOLERANCE, _LEAST_DIFFERENCE)
    apart = _size(alone - alone.mean(0))
    if not apart > least * _size(alone):
        return None
    return bool(_size(together - expected, expected.isfinite()) <= tolerance * apart)


def _size(values: Tensor, counted: Tensor | None = None) -> float:
    """Root of the mean square of the finite values, or of those that count."""
    counted = values.isfinite() if counted is None else counted
    return float(torch.where(counted, values, 0.0).double().square().mean().sqrt())


def _attempt(run: Callable[[], Outputs]) -> Outputs | None:
    """What a run at several ranks gives, or None where it fails, as it does where rows do not fit the ranks."""
    try:
        return run()
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError):
        return None


def probed(model: nn.Module, compare: Callable[[], bool | None]) -> bool | None:
    """What a comparison of two ways to run a model finds, such as `may_stack` makes.

    It runs with random factors, in evaluation mode and without gradients; all is as before afterwards.

    Without autocast: its rounding, over many layers, would look like rows that are mixed.
    """
    device = next(model.parameters()).device
    modes = [(module, module.training) for module in model.modules()]
    cuda = [device] if device.type == "cuda" else []
    with (
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
        torch.random.fork_rng(cuda),
        torch.compiler.set_stance("force_eager"),  # a compiled model would be compiled for it
        _random_factors(model),
    ):
        try:
            for module, _ in modes:
                module.training = False
            return compare()
        finally:
            for module, mode in modes:
                module.training = mode


@contextmanager
def _random_factors(model: nn.Module) -> Iterator[None]:
    """Factors whose product is about twice as large as the layer's input, in the place of the model's own."""
    factors = [module for module in model.modules() if isinstance(module, LowRankFactors)]
    kept = [(parameter, parameter.data) for f in factors for parameter in (f.lora_A, f.lora_B)]
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.inference_mode(False):
            for f in factors:
                max_rank, d_in = f.lora_A.shape
                f.lora_A.data = _normal(f.lora_A, d_in**-0.5, generator)
                size = _FACTOR_SIZE / (abs(f.state.factor(max_rank)) or 1)
                f.lora_B.data = _normal(f.lora_B, size * max_rank**-0.5, generator)
        yield
    finally:
        for parameter, data in kept:
            parameter.data = data


def _normal(like: Tensor, std: float, generator: torch.Generator) -> Tensor:
    return (torch.randn(like.shape, generator=generator) * std).to(like)


def _by_row(output: Any, rows: int) -> list[Tensor]:  # noqa: ANN401
    """The floating-point outputs that have a row for each of the batch's, (rows, values) each."""
    found = (value for value in _tensors(output) if value.dim() and value.shape[0] == rows)
    return [value.reshape(rows, -1) for value in found if value.numel()]


def _tensors(output: Any) -> Iterator[Tensor]:  # noqa: ANN401
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, tuple | list):
        for value in output:
            yield from _tensors(value)
