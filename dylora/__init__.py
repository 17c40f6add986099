"""DyLoRA: one low-rank adapter, trained once, that works at every rank of a range (arXiv 2210.07558).

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dylora.adapters.active_rank import no_adapter as no_adapter
    from dylora.adapters.active_rank import rank_state as rank_state
    from dylora.adapters.active_rank import repeated_rows as repeated_rows
    from dylora.adapters.active_rank import set_rank as set_rank
    from dylora.adapters.active_rank import use_rank as use_rank
    from dylora.adapters.adapt import adapt as adapt
    from dylora.adapters.budget import pooled_values as pooled_values
    from dylora.adapters.budget import ranks_under_budget as ranks_under_budget
    from dylora.adapters.budget import truncated as truncated
    from dylora.adapters.calls import check_calls as check_calls
    from dylora.adapters.calls import uncalled_layers as uncalled_layers
    from dylora.adapters.config import DyLoRAConfig as DyLoRAConfig
    from dylora.adapters.cuts import cut as cut
    from dylora.adapters.elastic import adapt_from_peft as adapt_from_peft
    from dylora.adapters.export import peft_adapter as peft_adapter
    from dylora.adapters.learned_order import learn_order_ as learn_order_
    from dylora.adapters.merging import merge as merge
    from dylora.adapters.merging import unload as unload
    from dylora.adapters.merging import unmerge as unmerge
    from dylora.adapters.optim import RowExactAdamW as RowExactAdamW
    from dylora.adapters.optim import parameter_groups as parameter_groups
    from dylora.adapters.parameters import adapter_state as adapter_state
    from dylora.adapters.parameters import count_parameters as count_parameters
    from dylora.adapters.rank_per_row import check_rank_per_row as check_rank_per_row
    from dylora.adapters.rank_per_row import takes_rank_per_row as takes_rank_per_row
    from dylora.adapters.ranks import RankDistribution as RankDistribution
    from dylora.adapters.ranks import RankRange as RankRange
    from dylora.adapters.ranks import rank_at as rank_at
    from dylora.adapters.sensitivity import gather_sensitivities as gather_sensitivities
    from dylora.adapters.sorting import sort_ as sort_
    from dylora.deploy.load import load as load
    from dylora.deploy.save import save as save
    from dylora.errors import InputError as InputError

__version__ = "0.2.0"

_HOMES = {
    "DyLoRAConfig": "dylora.adapters.config",
    "InputError": "dylora.errors",
    "RankDistribution": "dylora.adapters.ranks",
    "RankRange": "dylora.adapters.ranks",
    "RowExactAdamW": "dylora.adapters.optim",
    "adapt": "dylora.adapters.adapt",
    "adapt_from_peft": "dylora.adapters.elastic",
    "adapter_state": "dylora.adapters.parameters",
    "check_calls": "dylora.adapters.calls",
    "check_rank_per_row": "dylora.adapters.rank_per_row",
    "count_parameters": "dylora.adapters.parameters",
    "cut": "dylora.adapters.cuts",
    "gather_sensitivities": "dylora.adapters.sensitivity",
    "learn_order_": "dylora.adapters.learned_order",
    "load": "dylora.deploy.load",
    "merge": "dylora.adapters.merging",
    "no_adapter": "dylora.adapters.active_rank",
    "parameter_groups": "dylora.adapters.optim",
    "peft_adapter": "dylora.adapters.export",
    "pooled_values": "dylora.adapters.budget",
    "rank_at": "dylora.adapters.ranks",
    "rank_state": "dylora.adapters.active_rank",
    "ranks_under_budget": "dylora.adapters.budget",
    "repeated_rows": "dylora.adapters.active_rank",
    "save": "dylora.deploy.save",
    "set_rank": "dylora.adapters.active_rank",
    "sort_": "dylora.adapters.sorting",
    "takes_rank_per_row": "dylora.adapters.rank_per_row",
    "truncated": "dylora.adapters.budget",
    "uncalled_layers": "dylora.adapters.calls",
    "unload": "dylora.adapters.merging",
    "unmerge": "dylora.adapters.merging",
    "use_rank": "dylora.adapters.active_rank",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 (as many types as names)
    """Load a public name from where it is defined."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *_HOMES})
