"""Ranks per module under a budget: the components of all modules in one pool, the largest kept."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from dylora.adapters.active_rank import rank_state
from dylora.adapters.sensitivity import Sensitivity
from dylora.adapters.sorting import component_values, named_factors
from dylora.errors import InputError

Values = Mapping[str, Sequence[float]]


def ranks_under_budget(values: Values, mean_rank: float) -> dict[str, int]:
    """Share out ranks over modules: every module keeps one, and the largest values of the pool have the rest.

    The sum of the ranks is `mean_rank` times the number of modules, rounded down. Of equal values the earlier
    component goes first, then the earlier module, so that the same values always give the same ranks.

    Args:
        values: Of each module the (weighted) singular values of its components, the largest first.
        mean_rank: Ranks a module in the mean, from 1 to the modules' mean number of components.

    Returns:
        The rank of each module, 1 or more, in the same order.

    Raises:
        InputError: If the budget is below one rank a module or above what there is.

    >>> ranks_under_budget({"query": [9.0, 1.0], "value": [5.0, 4.0]}, 1.5)
    {'query': 1, 'value': 2}
    """
    available = sum(map(len, values.values())) / max(len(values), 1)
    if not 1 <= mean_rank <= available:
        raise InputError("--mean_rank", f"from 1 to {available:g}", mean_rank, "one rank a module is the least")
    pool = [
        (-float(value), place, order, name)
        for order, (name, of_module) in enumerate(values.items())
        for place, value in enumerate(of_module)
        if place > 0
    ]
    ranks = dict.fromkeys(values, 1)
    for *_, name in sorted(pool)[: math.floor(mean_rank * len(values) + 1e-9) - len(values)]:
        ranks[name] += 1
    return ranks


def pooled_values(model: nn.Module, sensitivities: Mapping[str, Sensitivity] | None = None) -> dict[str, list[float]]:
    """The singular values of every module's adapter at `max_rank`, scale included, in a unit that modules share.

    Args:
        model: An adapted model, not merged; sorted or not.
        sensitivities: From `gather_sensitivities`: values of the weighted product, which say what a component is worth
            to the model and not only how large it is.

    Returns:
        By the name of each `LowRankFactors`, `max_rank` values, the largest first.

    Raises:
        InputError: If the model is merged, or the sensitivities are those of another model.
    """
    state, weights = rank_state(model), sensitivities or {}
    scale = abs(state.factor(state.config.max_rank))
    return {
        name: (scale * component_values(f.lora_A.data, f.lora_B.data, weights.get(name))).tolist()
        for name, f in named_factors(model, sensitivities).items()
    }


@contextmanager
def truncated(model: nn.Module, ranks: Mapping[str, int]) -> Iterator[None]:
    """Give each module a rank of its own inside a `with` block: its later components are zero there.

    For a sorted adapter (`sort_`, or inside `cut`), used at `max_rank`. Parameters are bit for bit the ones before at
    the end of the block, after an error too.

    Args:
        model: An adapted model, not merged.
        ranks: By the name of each `LowRankFactors`, as `ranks_under_budget` gives it for `pooled_values`.

    Raises:
        InputError: If a module is missing or unknown, a rank is outside 1 to `max_rank`, or the model is merged.
    """
    named = named_factors(model)
    if wrong := sorted(named.keys() ^ ranks.keys()):
        raise InputError("ranks", "one for each module of the adapter", f"others ({wrong[0]})", "name its modules")
    for name, rank in ranks.items():
        if not 1 <= rank <= len(named[name].lora_A):
            allowed = f"from 1 to {len(named[name].lora_A)}"
            raise InputError("ranks", allowed, f"{rank} for {name}", "choose a rank inside the range")
    kept = [(p, p.data) for factors in named.values() for p in (factors.lora_A, factors.lora_B)]
    try:
        with torch.inference_mode(False), torch.no_grad():
            for name, factors in named.items():
                factors.lora_A.data, factors.lora_B.data = factors.lora_A.data.clone(), factors.lora_B.data.clone()
                factors.lora_A.data[ranks[name] :] = 0
                factors.lora_B.data[:, ranks[name] :] = 0
        yield
    finally:
        for parameter, data in kept:
            parameter.data = data
