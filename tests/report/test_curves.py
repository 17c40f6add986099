"""Figures picked from rank curves."""

import pytest

from dylora.report.curves import Curves, Picked, build_curves, without_aliases, without_repeats
from dylora.report.results import read_results


@pytest.fixture
def curves():
    by_metric = {
        "f1": {10: {1: 90.0, 2: 91.0, 4: 89.0}, 42: {1: 92.0, 2: 90.0, 4: 93.0}},
        "ter_pyter": {10: {1: 0.5, 2: 0.4, 4: 0.45}},
    }
    return Curves("dylora", "", "DyLoRA", "mrpc", "f1", by_metric, {10: {0: 5.0}})


def test_the_best_rank_is_that_of_the_mean_over_seeds(curves):
    assert curves.pick("f1", "best") == Picked((90.0, 92.0), (1,))  # means 91, 90.5, 91: the smallest of two


def test_a_search_takes_the_best_rank_of_each_seed(curves):
    assert curves.best_of_each("f1") == Picked((91.0, 93.0), (2, 4))
    assert curves.best_of_each("f1", most=2) == Picked((91.0, 92.0), (2, 1))


def test_errors_are_better_when_lower(curves):
    assert curves.pick("ter_pyter", "best") == Picked((0.4,), (2,))
    assert curves.best_of_each("ter_pyter") == Picked((0.4,), (2,))


def test_the_only_figure_is_that_of_the_largest_rank(curves):
    assert curves.pick("f1", "full") == Picked((89.0, 93.0))


def test_a_rank_or_metric_that_no_seed_has(curves):
    assert curves.pick("f1", 3) == Picked()
    assert curves.pick("accuracy", "mean") == Picked()


def test_a_search_takes_the_time_of_all_its_ranks():
    search = Curves("lora_search", "", "LoRA", "mrpc", "f1", {}, {10: {1: 10.0, 2: 11.0, 64: 12.0}})
    assert search.training_seconds() == (33.0,)
    assert search.training_seconds(most=32) == (21.0,)


@pytest.mark.parametrize(("cuts", "shown"), [(["svd"], ["", "svd"]), (["svd", "alpha-b"], ["alpha/b", "svd"])])
def test_a_run_is_shown_as_trained_unless_the_cut_of_its_scaling_was_evaluated(save_run, tmp_path, cuts, shown):
    figures = {"f1": {1: 0.5, 8: 0.9}}
    other = {"f1": {1: 0.8, 8: 0.9}}
    made = {cut: figures if cut == "alpha-b" else other for cut in cuts}
    save_run("dylora", "mrpc", 10, figures, made, config="model: {adapter: {scaling: alpha/b}}")
    curves, _ = build_curves(read_results([tmp_path], None, "last")[0])
    assert sorted(c.cut for c in without_repeats(without_aliases(curves))) == shown
