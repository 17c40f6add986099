"""Training that keeps less of the forward pass and computes the rest again in the backward pass."""

from typing import Any, cast

from transformers import PreTrainedModel

from dylora.adapters.active_rank import rank_state
from dylora.errors import InputError

OPTION = "model.gradient_checkpointing"


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Let every layer of a model keep its input alone for the backward pass, in place; evaluation is as before.

    Raises:
        InputError: If transformers cannot do that for the model, or it is compiled.
    """
    if not model.supports_gradient_checkpointing:
        allowed = "false for a model that cannot compute its layers again"
        raise InputError(OPTION, allowed, f"true for {type(model).__name__}", "leave it out")
    if rank_state(model).compiled:
        raise InputError(OPTION, "false with model.compile", "true", "leave one of them out")
    known = cast(Any, model)
    # The first name is that of transformers' newer versions, in which the second one warns.
    enable = getattr(known, "activation_checkpointing_enable", None) or known.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    # Without re-entrance no gradient is needed at the embeddings, which transformers asks for.
    known.disable_input_require_grads()
