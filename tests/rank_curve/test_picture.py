"""Pictures hold the figures they are given; tables have a column a rank."""

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dylora.rank_curve.epoch_pictures import draw_heat_map
from dylora.rank_curve.picture import draw_rank_curve, save_picture
from dylora.rank_curve.summary import summarise
from dylora.rank_curve.table import table_header, table_row

VALUES = {1: 0.5, 2: 0.75, 4: 0.7475}


def _pixels(figure):
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_rank_curve_draws_every_rank_and_marks_the_chosen_one():
    figure = draw_rank_curve(VALUES, "accuracy", "rte, epoch 3", summarise(VALUES))
    (axes,) = figure.axes
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.5], [2, 0.75], [4, 0.7475]]
    assert (axes.get_xlabel(), axes.get_title()) == ("rank of the adapter", "rte, epoch 3")
    assert axes.get_ylabel() == "accuracy (share of 1), higher is better"
    assert [text.get_text() for text in axes.texts] == ["chosen: rank 2"]
    assert _pixels(figure).std() > 1


def test_heat_map_has_a_row_an_epoch_and_a_column_a_rank():
    figure = draw_heat_map([VALUES, {1: 0.6, 2: 0.8, 4: 0.9}], "accuracy", "rte")
    image = figure.axes[0].images[0].get_array()
    assert image.tolist() == [[0.5, 0.75, 0.7475], [0.6, 0.8, 0.9]]
    assert _pixels(figure).std() > 1


def test_table_lines_have_the_same_width_and_all_figures():
    header, row = table_header("accuracy", [1, 2, 4]), table_row("epoch 1", VALUES, summarise(VALUES))
    assert len(header) == len(row)
    assert row.split() == ["epoch", "1", "0.5000", "0.7500", "0.7475", "0.6658", "2", "2"]


def test_large_figures_have_a_space_between_them():
    values = {1: 100.0, 2: 5773.36715, 4: 12_345_678.9}
    header, row = table_header("perplexity", [1, 2, 4]), table_row("perplexity", values, summarise(values))
    assert len(header) == len(row)
    assert row.split()[1:4] == ["100.000", "5773.37", "1.2e+07"]


def test_a_long_heading_moves_no_column():
    header = table_header("test", [1, 2, 4], width=16)
    row = table_row("token_accuracy", VALUES, summarise(VALUES), width=16)
    assert len(header) == len(row)


def test_a_wide_range_shows_sixteen_ranks_with_both_ends():
    header = table_header("accuracy", range(1, 65))
    assert header.count("rank") == 16
    assert "rank 1 " in header
    assert "rank 64" in header


def test_the_svd_cut_is_a_reference_and_intervals_are_a_band():
    bands = {rank: (value - 0.1, value + 0.1) for rank, value in VALUES.items()}
    cut = {1: 0.7, 2: 0.76, 4: 0.7475}
    (axes,) = draw_rank_curve(VALUES, "accuracy", "rte", summarise(VALUES), reference=cut, bands=bands).axes
    assert axes.lines[1].get_xydata().tolist() == [[1, 0.7], [2, 0.76], [4, 0.7475]]
    assert len(axes.collections) == 1
    assert axes.get_ylim()[0] < 0.4


def test_a_picture_is_dark_on_white_whatever_is_set_elsewhere_and_the_same_file_each_time(tmp_path):
    files = []
    with matplotlib.style.context("dark_background"):
        for name in "ab":
            figure = draw_rank_curve(VALUES, "accuracy", "rte", summarise(VALUES))
            save_picture(figure, tmp_path / f"{name}.png", with_svg=True)
            files.append((tmp_path / f"{name}.svg").read_bytes())
    assert files[0] == files[1]
    assert _pixels(figure)[0, 0].tolist() == [255, 255, 255, 255]
    assert figure.axes[0].title.get_color() == "#1a1a1a"
