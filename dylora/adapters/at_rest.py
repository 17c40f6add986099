"""A model at rest: evaluated as it stands, with gradients of what is asked for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from dylora.adapters.active_rank import rank_state, use_rank


@contextmanager
def at_rest(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Evaluation mode at `max_rank` with gradients inside a `with` block, in an evaluation of a trainer too.

    Rank, modes and what needs a gradient are the ones before at its end, after an error too.

    Args:
        model: An adapted model.
        parameters: Those that gradients are taken of.
    """
    modes = {module: module.training for module in model.modules()}
    needs = [(parameter, parameter.requires_grad) for parameter in parameters]
    try:
        model.eval()
        for parameter in parameters:
            parameter.requires_grad_(True)
        with torch.inference_mode(False), torch.enable_grad(), use_rank(model, rank_state(model).config.max_rank):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, need in needs:
            parameter.requires_grad_(need)
