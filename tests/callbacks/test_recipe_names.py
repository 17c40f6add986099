"""What a named recipe stands for, and where it has nothing to order."""

import pytest

from dylora.adapters.config import DyLoRAConfig
from dylora.callbacks.ordered_decay import OrderedDecay
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.callbacks.sort_and_polish import SortAndPolish
from dylora.errors import InputError
from dylora.methods.full import FullFineTuning


@pytest.mark.parametrize(
    ("recipe", "law", "sort_at"),
    [("sorted", "uniform", 1.0), ("dylora", "uniform", None), ("lora", "max_rank", None)],
)
def test_a_recipe_decides_what_is_left_out(recipe, law, sort_at):
    callback = RankSamplingCallback(recipe)
    assert (callback.distribution.name, callback.objective) == (law, "individual")
    assert (callback.ordered_decay, callback.polish.sort_at) == (OrderedDecay(), sort_at)


def test_what_is_given_wins():
    callback = RankSamplingCallback(
        distribution="geometric", ordered_decay=OrderedDecay(decoupled=0.1, shape="sqrt"), polish=SortAndPolish(0.8)
    )
    assert callback.distribution.name == "geometric"
    assert callback.ordered_decay == OrderedDecay(decoupled=0.1, shape="sqrt")
    assert callback.polish == SortAndPolish(0.8)


def test_a_single_rank_and_a_model_without_adapters_have_nothing_to_order(make_module):
    for options in ({"adapter": DyLoRAConfig(max_rank=4, min_rank=4)}, {"method": FullFineTuning()}):
        callback = RankSamplingCallback()
        callback.bind_to(make_module(**options))
        assert callback.polish.sort_at is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recipe": "ordered"}, "rank_sampling.recipe: must be one of sorted, dylora, lora, got 'ordered'"),
        ({"objective": "mixed"}, "set rank_sampling.recipe to dylora, or polish.objective"),
        ({"frozen": True}, "rank_sampling.frozen: must be false .*; set rank_sampling.recipe to dylora"),
    ],
)
def test_what_does_not_go_with_it_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        RankSamplingCallback(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"adapter": DyLoRAConfig(4, scaling="alpha/b")},
            "model.adapter.scaling: must be alpha/max_rank .*; or set rank_sampling.recipe to",
        ),
    ],
)
def test_a_module_that_it_does_not_go_with_is_refused(make_module, options, words):
    with pytest.raises(InputError, match=words):
        RankSamplingCallback().bind_to(make_module(**options))


def test_a_module_of_unknown_outputs_is_told_before_training_what_to_set(make_module):
    module = make_module()
    module.outcome_kind = None
    with pytest.raises(InputError, match=r"polish.sort_by: must be svd for outputs of unknown kind"):
        RankSamplingCallback().bind_to(module)
    RankSamplingCallback(polish=SortAndPolish(sort_by="svd")).bind_to(module)
