"""Summaries of rank curves against numbers worked out by hand."""

import math

import pytest

from dylora.errors import InputError
from dylora.rank_curve.summary import aurac, summarise


def test_aurac_is_trapezoids_over_the_range():
    assert aurac({1: 0.0, 2: 1.0, 8: 1.0}) == pytest.approx((0.5 * 1 + 1.0 * 6) / 7)


def test_aurac_of_a_constant_curve_is_the_constant():
    assert aurac({1: 0.7, 3: 0.7, 8: 0.7}) == pytest.approx(0.7)


def test_aurac_of_one_rank_is_its_value():
    assert aurac({5: 0.3}) == 0.3


def test_chosen_rank_is_the_smallest_within_one_percent():
    summary = summarise({1: 0.70, 2: 0.891, 3: 0.90, 4: 0.8999})
    assert (summary.best_rank, summary.best, summary.chosen_rank) == (3, 0.90, 2)
    assert summary.mean == pytest.approx((0.70 + 0.891 + 0.90 + 0.8999) / 4)


def test_tolerance_zero_chooses_the_best_rank():
    assert summarise({1: 0.899, 2: 0.90}, tolerance=0.0).chosen_rank == 2


def test_ties_go_to_the_smaller_rank():
    assert summarise({4: 0.5, 2: 0.5, 8: 0.4}).best_rank == 2


def test_lower_is_better_turns_the_direction():
    summary = summarise({1: 1.3, 2: 1.005, 4: 1.0}, higher_is_better=False)
    assert (summary.best_rank, summary.chosen_rank) == (4, 2)


def test_negative_metrics_keep_the_tolerance_on_the_right_side():
    assert summarise({1: -0.5, 2: -0.1005, 3: -0.1}).chosen_rank == 2


def test_not_a_number_is_the_worst():
    summary = summarise({1: math.nan, 2: 0.5})
    assert (summary.best_rank, summary.chosen_rank) == (2, 2)


def test_negative_tolerance_is_refused():
    with pytest.raises(InputError, match=r"tolerance: must be 0 or more, got -0.1"):
        summarise({1: 0.5}, tolerance=-0.1)


def test_no_rank_is_chosen_where_no_value_is_a_number():
    summary = summarise({1: math.nan, 2: math.nan})
    assert (summary.best_rank, summary.chosen_rank) == (None, None)
    assert math.isnan(summary.best)


def test_a_value_that_is_not_a_number_is_never_chosen():
    summary = summarise({1: math.nan, 2: -5.0, 3: math.nan})
    assert (summary.best_rank, summary.chosen_rank) == (2, 2)


@pytest.mark.parametrize("tolerance", [-1.0, math.nan, math.inf])
def test_tolerances_that_mean_nothing(tolerance):
    with pytest.raises(InputError, match="tolerance: must be 0 or more"):
        summarise({1: 0.5}, tolerance)
