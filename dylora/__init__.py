"""DyLoRA: one low-rank adapter, trained once, that works at every rank of a range (arXiv 2210.07558).

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dylora.adapters.adapt import adapt as adapt
    from dylora.adapters.adapt import count_parameters as count_parameters
    from dylora.adapters.adapt import merge as merge
    from dylora.adapters.adapt import set_rank as set_rank
    from dylora.adapters.adapt import unmerge as unmerge
    from dylora.adapters.adapt import use_rank as use_rank
    from dylora.adapters.budget import pooled_values as pooled_values
    from dylora.adapters.budget import ranks_under_budget as ranks_under_budget
    from dylora.adapters.budget import truncated as truncated
    from dylora.adapters.config import DyLoRAConfig as DyLoRAConfig
    from dylora.adapters.cuts import cut as cut
    from dylora.adapters.optim import RowExactAdamW as RowExactAdamW
    from dylora.adapters.ranks import RankDistribution as RankDistribution
    from dylora.adapters.ranks import RankRange as RankRange
    from dylora.adapters.ranks import rank_at as rank_at
    from dylora.adapters.sensitivity import gather_sensitivities as gather_sensitivities
    from dylora.adapters.sorting import sort_ as sort_
    from dylora.errors import InputError as InputError

__version__ = "0.1.0"

_HOMES = {
    "DyLoRAConfig": "dylora.adapters.config",
    "InputError": "dylora.errors",
    "RankDistribution": "dylora.adapters.ranks",
    "RankRange": "dylora.adapters.ranks",
    "RowExactAdamW": "dylora.adapters.optim",
    "adapt": "dylora.adapters.adapt",
    "count_parameters": "dylora.adapters.adapt",
    "cut": "dylora.adapters.cuts",
    "gather_sensitivities": "dylora.adapters.sensitivity",
    "merge": "dylora.adapters.adapt",
    "pooled_values": "dylora.adapters.budget",
    "rank_at": "dylora.adapters.ranks",
    "ranks_under_budget": "dylora.adapters.budget",
    "set_rank": "dylora.adapters.adapt",
    "sort_": "dylora.adapters.sorting",
    "truncated": "dylora.adapters.budget",
    "unmerge": "dylora.adapters.adapt",
    "use_rank": "dylora.adapters.adapt",
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
