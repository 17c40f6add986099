"""Named ways to train an adapter: what the options of the rank sampling are where nothing is said of them."""

from dataclasses import replace
from typing import Literal, get_args

from dylora.adapters.ranks import DistributionName
from dylora.callbacks.ordered_decay import OrderedDecay
from dylora.callbacks.sort_and_polish import SortAndPolish
from dylora.errors import InputError

Recipe = Literal["ordered", "dylora", "lora"]

_DECAY = 0.3
_SORT_AT = 0.6


def check_name(recipe: str) -> None:
    """Refuse an unknown recipe.

    Raises:
        InputError: If there is none of that name.
    """
    if recipe not in get_args(Recipe):
        allowed = "one of " + ", ".join(get_args(Recipe))
        raise InputError("rank_sampling.recipe", allowed, repr(recipe), "choose one of them")


def distribution(recipe: Recipe, chosen: DistributionName | None) -> DistributionName:
    """The law of the ranks: the chosen one, else that of the recipe.

    >>> distribution("lora", None), distribution("ordered", None), distribution("lora", "geometric")
    ('max_rank', 'uniform', 'geometric')
    """
    return chosen or ("max_rank" if recipe == "lora" else "uniform")


def ordered_decay(recipe: Recipe, chosen: OrderedDecay) -> OrderedDecay:
    """The decay, its strength that of the recipe where none is chosen."""
    if chosen.decoupled is not None:
        return chosen
    return replace(chosen, decoupled=_DECAY if recipe == "ordered" and not chosen.in_loss else 0.0)


def polish(recipe: Recipe, chosen: SortAndPolish) -> SortAndPolish:
    """The sort, at the recipe's share of the steps where none is chosen."""
    return replace(chosen, sort_at=_SORT_AT) if recipe == "ordered" and chosen.sort_at is None else chosen
