"""A backbone that `torch.compile` has made faster, with one graph for all ranks.

An int as the rank would be part of the graph, and each rank a graph of its own. So every row gets its rank as data,
whether they differ or not. What runs once or in shapes of its own (generation, checks) is left uncompiled.
"""

from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

from dylora.adapters.active_rank import rank_state
from dylora.errors import InputError

BACKEND = "inductor"


def compile_backbone(model: PreTrainedModel) -> None:
    """Compile a model's backbone, in place: all but its task head or output embedding; shapes stay open.

    Raises:
        InputError: If it has no backbone of its own, as encoder-decoder models.
    """
    backbone = cast(Any, model).base_model
    if backbone is model or model.config.is_encoder_decoder:
        allowed = "false for a model whose backbone and head are one"
        raise InputError("model.compile", allowed, f"true for {type(model).__name__}", "leave it out")
    rank_state(model).compiled = True
    cast(nn.Module, backbone).compile(dynamic=True, backend=BACKEND)
