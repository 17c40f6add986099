"""One picture of all systems."""

import pytest

from dylora.errors import InputError
from dylora.report.curves import build_curves
from dylora.report.plot import draw_curves, near_limits, save
from dylora.report.results import read_results


@pytest.fixture
def curves(known_runs):
    return build_curves(read_results([known_runs], None, "last")[0])[0]


def test_a_panel_a_task_with_the_mean_over_the_seeds(curves):
    panels = draw_curves(curves).axes
    assert [panel.get_title() for panel in panels] == ["mrpc", "stsb"]
    line = panels[0].get_lines()[0]
    assert line.get_label() == "DyLoRA"
    assert list(line.get_xdata()) == [1, 2, 8]
    assert list(line.get_ydata()) == pytest.approx([91.0, (91 + 91.5 + 90) / 3, 91.5])
    band = panels[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((90.0, 92.0))  # of 90, 92, 91; 91, 91.5, 90; 92, 91


def test_the_legend_says_what_the_bands_are_where_there_are_some(curves):
    words = "line: mean over the seeds; band: lowest to highest seed"
    assert [text.get_text() for text in draw_curves(curves).legends[0].get_texts()][-1] == words
    single = [c for c in curves if c.task == "stsb"]
    assert [text.get_text() for text in draw_curves(single).legends[0].get_texts()] == ["DyLoRA"]


def test_a_ninth_system_is_told_from_the_first_by_its_line(save_run, tmp_path):
    for number in range(9):
        save_run(f"system_{number}", "mrpc", 10, {"f1": {1: 0.9, 8: 0.9}})
    lines = draw_curves(build_curves(read_results([tmp_path], None, "last")[0])[0]).axes[0].get_lines()
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(looks) == 9


def test_a_line_that_is_far_off_does_not_press_the_others_together(save_run, tmp_path):
    save_run("near", "mrpc", 10, {"f1": {1: 0.80, 8: 0.84}})
    save_run("nearer", "mrpc", 10, {"f1": {1: 0.81, 8: 0.84}})
    save_run("far", "mrpc", 10, {"f1": {1: 0.30, 8: 0.84}})
    save_run("far", "stsb", 10, {"f1": {1: 0.30, 8: 0.84}})
    mrpc, stsb = draw_curves(build_curves(read_results([tmp_path], None, "last")[0])[0]).axes
    assert mrpc.get_ylim() == pytest.approx((79.8, 84.2))
    assert mrpc.get_xlabel() == "rank (a line that leaves the panel lies far off)"
    assert stsb.get_xlabel() == "rank"
    assert stsb.get_ylim()[0] < 30  # alone it is not far from anything
    assert near_limits([(80, 84), (76, 84), (79, 83)]) is None


def test_png_and_svg_are_written(curves, tmp_path):
    paths = save(draw_curves(curves), tmp_path / "new" / "plot.pdf")
    assert [path.name for path in paths] == ["plot.png", "plot.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in paths[1].read_bytes()


def test_a_metric_that_no_run_has(curves):
    with pytest.raises(InputError, match="--metric: must be a metric of the runs: accuracy, f1, pearson, got 'f2'"):
        draw_curves(curves, "f2")
