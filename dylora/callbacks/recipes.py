"""Named ways to train an adapter: what the options of the rank sampling are where nothing is said of them."""

from dataclasses import replace
from typing import Literal, get_args

from dylora.adapters.ranks import DistributionName
from dylora.callbacks.sort_and_polish import SortAndPolish
from dylora.errors import InputError

Recipe = Literal["sorted", "dylora", "lora"]


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

    >>> distribution("lora", None), distribution("sorted", None), distribution("lora", "geometric")
    ('max_rank', 'uniform', 'geometric')
    """
    return chosen or ("max_rank" if recipe == "lora" else "uniform")


def polish(recipe: Recipe, chosen: SortAndPolish) -> SortAndPolish:
    """The sort, at the end of training where the recipe has one and no other share of the steps is chosen."""
    return replace(chosen, sort_at=1.0) if recipe == "sorted" and chosen.sort_at is None else chosen
