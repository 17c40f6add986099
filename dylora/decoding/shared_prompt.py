"""The cache of a prompt, computed once for all beams that continue it.

transformers' beam search repeats the prompts first, and runs each of them once a beam.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from dylora.adapters.active_rank import rank_state

Inputs = Mapping[str, Any]
Greedy = Callable[[Inputs, int], Any]
"""Writes so many tokens greedily for `input_ids` and what goes with them; gives transformers' output, with logits."""

_LEAST_SAVED = 256
"""Prompt tokens that have to be saved: one forward more, of the prompts alone, costs about as much."""

_CHECKED_TOKENS = 2
_NAMES = ("cache", "past_key_values")
"""What transformers calls a cache, from version 5.24 on and before."""
_TOLERANCE, _LOW_PRECISION = 1e-3, 5e-2


def with_shared_prompts(model: PreTrainedModel, inputs: Inputs, beams: int, greedy: Greedy) -> Inputs:
    """The inputs of beam search with the cache of all prompt tokens but the last, where that is right and pays.

    The first batch is run both ways: where the logits differ by more than rounding, or the cache is another than keys
    and values of every token, the model's prompts are never shared. An encoder runs once a source anyway.

    Args:
        model: An adapted model, its rank set.
        inputs: `input_ids` and `attention_mask` (rows, tokens), padded on the left.
        beams: Rows that each prompt is repeated to.
        greedy: Runs the model.
    """
    state = rank_state(model)
    if state.shares_prompts is False or not _saves(model, inputs, beams):
        return inputs
    if state.shares_prompts is None:
        state.shares_prompts = _is_right(inputs, beams, greedy)
    return (_with_cache(inputs, beams, greedy) or inputs) if state.shares_prompts else inputs


def _saves(model: PreTrainedModel, inputs: Inputs, beams: int) -> bool:
    """Whether enough is saved, and every prompt has two tokens: all but the last are in the cache."""
    rows, tokens = inputs["input_ids"].shape
    if model.config.is_encoder_decoder or tokens < 2 or (beams - 1) * rows * (tokens - 1) < _LEAST_SAVED:
        return False
    return bool(inputs["attention_mask"][:, -2].all())


def _with_cache(inputs: Inputs, beams: int, greedy: Greedy) -> dict[str, Any] | None:
    """The inputs with the cache, each row of which is repeated once a beam; None if it is of another kind."""
    output = greedy({name: value[:, :-1] for name, value in inputs.items()}, 1)
    called = next(name for name in _NAMES if name in output)
    cache = output[called]
    known = type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in cache.layers)
    if not known or cache.get_seq_length() != inputs["input_ids"].shape[1] - 1:
        return None
    cache.batch_repeat_interleave(beams)
    return {**inputs, called: cache}


def _is_right(inputs: Inputs, beams: int, greedy: Greedy) -> bool:
    shared = _with_cache(inputs, beams, greedy)
    if shared is None:
        return False
    repeated = {name: value.repeat_interleave(beams, 0) for name, value in inputs.items()}
    expected = _logits(greedy(repeated, _CHECKED_TOKENS))
    found = _logits(greedy({**shared, **repeated}, _CHECKED_TOKENS))
    tolerance = _TOLERANCE if found.dtype in (torch.float32, torch.float64) else _LOW_PRECISION
    finite = expected.isfinite()
    error, size = ((each[finite].abs().max()) for each in (found - expected, expected))
    return bool(error <= tolerance * size)


def _logits(output: Any) -> Tensor:  # noqa: ANN401 (one of transformers' output classes)
    return torch.stack(output.logits, 1)
