"""Whether a model keeps the rows of a packed row apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dylora.errors import InputError

_TOLERANCE = 1e-4  # a masked place adds nothing at all; a seen one changes hidden states by far more


def check_packed(model: PreTrainedModel, batch: dict[str, Tensor]) -> None:
    """Refuse a model in which the first row of a packed row has an influence on those behind it.

    The first one's tokens are changed, and the last hidden states of the others have to stay. The logits of all tokens,
    by far the largest tensor of a training, are not made. Dropout is off meanwhile.

    Args:
        model: A causal language model.
        batch: A packed batch: `input_ids` and `position_ids`, both (B, T).

    Raises:
        InputError: If the model mixes rows, or takes no positions.
    """
    ids, places = batch["input_ids"], batch["position_ids"]
    row = (places == 0).cumsum(1) - 1  # (B, T), the row's number in its packed row
    changed = torch.where(row == 0, ids.flip(0).roll(1, dims=1), ids)
    with torch.no_grad(), _without_dropout(model):
        try:
            before, after = (
                cast(Any, model).base_model(input_ids=tokens, position_ids=places, use_cache=False)[0][row > 0]
                for tokens in (ids, changed)
            )
        except TypeError as error:
            raise _mixed(model) from error
    if not torch.allclose(before, after, atol=_TOLERANCE):
        raise _mixed(model)


def _mixed(model: nn.Module) -> InputError:
    allowed = "off for a model that lets the rows of a packed row see each other"
    return InputError("data.packing", allowed, f"on for {type(model).__name__}", "leave it out")


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
