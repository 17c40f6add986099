"""Five ways to cut a trained adapter down to every lower rank."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, get_args

from torch import nn

from dylora.adapters.active_rank import rank_state
from dylora.adapters.sensitivity import Sensitivity
from dylora.adapters.sorting import named_factors, sorted_pairs
from dylora.errors import InputError

Cut = Literal["alpha/b", "alpha/max_rank", "svd", "two-sided", "learned"]
CUTS: tuple[Cut, ...] = get_args(Cut)


@contextmanager
def cut(
    model: nn.Module,
    kind: Cut,
    sensitivities: Mapping[str, Sensitivity] | None = None,
    learn: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Cut an adapter in one way inside a `with` block, whatever scaling it was trained with.

    With `A|b` the first b rows of `lora_A` and `B|b` the first b columns of `lora_B`, rank b of a layer adds

    - `alpha/b`: `alpha / b * B|b A|b`, as the paper cuts the LoRA that it compares with;
    - `alpha/max_rank`: `alpha / max_rank * B|b A|b`, the first components with the scale that they were trained with;
    - `svd`: the best approximation of rank b (Eckart-Young) to `D = alpha / max_rank * B A`: its b largest singular
      values with their vectors. Factors of a fused projection are decomposed one by one;
    - `two-sided`: likewise, with the layer's inputs and outputs weighed by what the model does with them: the best
      approximation in `|| G^(1/2) (D - .) C^(1/2) ||` (see `dylora.adapters.sensitivity`);
    - `learned`: one of the two, the second where there are sensitivities, and from there a basis of the components that
      is trained for the loss of the lower ranks (see `dylora.adapters.learned_order`).

    All scale by `alpha / max_rank` at `b = max_rank` and agree there, with the adapter itself too, since every
    scaling does.

    Parameters, scaling and active rank are bit for bit the ones before at the end of the block, after an error too.

    Args:
        model: An adapted model, not merged.
        kind: The way.
        sensitivities: For `two-sided` and `learned`, what `gather_sensitivities` gave; others leave them aside.
        learn: For `learned`: trains the basis of the model, which is sorted by then.

    Raises:
        InputError: If there is no such way, the model is merged, or the sensitivities are another model's, or what the
            way needs is missing.
    """
    check_cut(kind)
    if kind == "two-sided" and sensitivities is None:
        raise InputError("--cut", "without calibration one of alpha/b, alpha/max_rank, svd", kind, "give training data")
    if kind == "learned" and learn is None:
        raise InputError("--cut", "one that needs no training", kind, "validate --cut learned, or fit with a recipe")
    state = rank_state(model)
    named = named_factors(model)
    kept = [(parameter, parameter.data) for factor in named.values() for parameter in (factor.lora_A, factor.lora_B)]
    config, active = state.config, (state.rank, state.frozen)
    try:
        if kind in ("svd", "two-sided", "learned"):
            for factor, pair in sorted_pairs(model, None if kind == "svd" else sensitivities):
                factor.lora_A.data, factor.lora_B.data = pair
        state.config = replace(config, scaling="alpha/b" if kind == "alpha/b" else "alpha/max_rank")
        state.set(*active)  # again, since the scales of a rank per row are kept with it
        if kind == "learned" and learn is not None:
            learn()
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
