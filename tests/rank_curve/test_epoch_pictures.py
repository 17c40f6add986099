"""Every rank over the epochs: a line a rank, named at its end; the interval of the chosen one as a band."""

import numpy as np
import pytest

from dylora.rank_curve.epoch_pictures import apart, draw_every_rank, draw_heat_map

EPOCHS = [{1: 0.5, 2: 0.52, 4: 0.5}, {1: 0.6, 2: 0.8, 4: 0.801}]


def test_a_line_a_rank_is_named_at_its_end_and_the_chosen_one_stands_out():
    (axes,) = draw_every_rank(EPOCHS, "accuracy", "rte", 2, {1: (0.4, 0.6), 2: (0.7, 0.9)}).axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        [[1, e[0]], [2, e[1]]] for e in zip(*(d.values() for d in EPOCHS), strict=True)
    ]
    assert [text.get_text() for text in axes.texts] == ["rank 1", "rank 2", "rank 4"]
    assert np.argmax([line.get_linewidth() for line in axes.lines]) == 1
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).bounds == pytest.approx((1, 0.4, 1, 0.5))
    assert "accuracy (share of 1), higher is better" in axes.get_ylabel()
    assert axes.get_ylim()[0] < 0.4
    assert axes.get_ylim()[1] > 0.9


def test_what_the_band_is_stands_outside_where_it_hides_no_line():
    figure = draw_every_rank(EPOCHS, "accuracy", "rte", 2, {1: (0.4, 0.6), 2: (0.7, 0.9)})
    figure.canvas.draw()
    (legend,), (axes,) = figure.legends, figure.axes
    assert legend.get_texts()[0].get_text() == "95 % interval of rank 2, the chosen one"
    assert axes.get_legend() is None
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def test_an_epoch_that_was_evaluated_at_some_ranks_leaves_gaps_of_the_others():
    epochs = [{1: 0.5, 4: 0.6}, {1: 0.6, 2: 0.8, 4: 0.801}, {1: 0.5, 4: 0.7}]
    (axes,) = draw_every_rank(epochs, "accuracy", "rte", 2).axes
    assert np.isnan([line.get_ydata() for line in axes.lines]).tolist() == [
        [False] * 3,
        [True, False, True],
        [False] * 3,
    ]
    cells = draw_heat_map(epochs, "accuracy", "rte").axes[0]
    assert np.ma.getmaskarray(cells.images[0].get_array()).tolist() == [
        [False, True, False],
        [False] * 3,
        [False, True, False],
    ]
    assert [text.get_text() for text in cells.texts] == ["0.5", "0.6", "0.6", "0.8", "0.801", "0.5", "0.7"]


def test_names_at_the_ends_of_lines_do_not_cover_each_other():
    places = apart([0.5, 0.5, 0.5, 0.52, 0.9], 0.1)
    assert min(np.diff(sorted(places))) >= 0.1 - 1e-9
    assert sorted(range(5), key=lambda i: places[i]) == [0, 1, 2, 3, 4]


def test_one_epoch_and_values_that_are_no_numbers_can_be_drawn():
    figure = draw_every_rank([{1: 0.5, 2: float("nan")}], "accuracy", "rte", 1, {1: (0.4, 0.6)})
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == ["rank 1"]


def test_a_map_of_noise_has_no_cliffs_and_says_its_figures():
    figure = draw_heat_map([{1: 0.5, 2: 0.501}], "accuracy", "rte")
    low, high = figure.axes[0].images[0].get_clim()
    assert high - low >= 0.05
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.5", "0.501"]
