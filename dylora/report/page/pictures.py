"""The pictures of a page, as SVG whose words and ground take the page's colours."""

import io
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dylora.rank_curve.epoch_pictures import draw_every_rank
from dylora.rank_curve.look import GRID, GROUND, INK, axis_label, limits, look, new_figure, rank_colours
from dylora.report.page.runs import PageRun

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C00", "#7F7F7F")
_MARKERS = "osD^vP*X"


def draw_curves(runs: Sequence[PageRun]) -> Figure:
    """The curves of the runs of one task with their intervals; the SVD cut of each dashed."""
    with look():
        figure = new_figure(8.6, 5.2)
        axes, metric = figure.subplots(), runs[0].metric
        shown: list[float] = []
        for i, run in enumerate(runs):
            colour, ranks = COLOURS[i % len(COLOURS)], sorted(run.values)
            line = [run.values[rank] for rank in ranks]
            axes.plot(ranks, line, color=colour, marker=_MARKERS[i % len(_MARKERS)], label=run.name)
            axes.plot([run.chosen], [run.values.get(run.chosen, float("nan"))], "o", ms=13, mfc="none", color=colour)
            if banded := [rank for rank in ranks if rank in run.intervals]:
                low, high = zip(*(run.intervals[rank] for rank in banded), strict=True)
                axes.fill_between(banded, low, high, color=colour, alpha=0.14, linewidth=0)
                shown += [*low, *high]
            if run.svd:
                cut = sorted(run.svd)
                label = f"{run.name}, SVD cut"
                axes.plot(cut, [run.svd[rank] for rank in cut], "--", color=colour, linewidth=1.2, label=label)
            shown += [*line, *run.svd.values()]
        axes.set(xlabel="rank of the adapter", ylabel=axis_label(metric), ylim=limits(shown, metric))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(True)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return figure


def draw_costs(runs: Sequence[PageRun]) -> Figure:
    """Quality against the bytes of the adapter, a point a rank with its number."""
    with look():
        figure = new_figure(8.6, 4.8)
        axes, metric = figure.subplots(), runs[0].metric
        for i, run in enumerate(run for run in runs if run.sizes):
            assert run.sizes is not None
            colour, ranks = COLOURS[i % len(COLOURS)], sorted(run.values)
            kilobytes = [run.sizes.at(rank)[1] / 1e3 for rank in ranks]
            values = [run.values[rank] for rank in ranks]
            axes.plot(kilobytes, values, color=colour, marker=_MARKERS[i % len(_MARKERS)], label=run.name)
            for x, y, rank in zip(kilobytes, values, ranks, strict=True):
                axes.annotate(str(rank), (x, y), textcoords="offset points", xytext=(0, 8), ha="center", color=INK)
        axes.set(xlabel="size of what is deployed at a rank (kB), smaller is better", ylabel=axis_label(metric))
        axes.set_ylim(*limits([value for run in runs for value in run.values.values()], metric))
        axes.grid(True)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return figure


def draw_epochs(run: PageRun) -> Figure:
    """Every rank over the epochs of one run."""
    bands = {i: band[run.chosen] for i, band in enumerate(run.bands, start=1) if run.chosen in band}
    return draw_every_rank(run.epochs, run.metric, run.name, run.chosen, bands)


def inline_svg(figure: Figure, words: str, ranks: Sequence[int] = ()) -> str:
    """A figure as SVG that stands in a page.

    Args:
        figure: The picture.
        words: What it shows, for those who cannot see it.
        ranks: The ranks whose colours are the page's, so that they can be another in the dark.
    """
    file = io.StringIO()
    with look(), rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{words}" ', 1)
    names = {INK: "var(--ink)", GROUND: "var(--ground)", GRID: "var(--grid)"}
    names |= {colour: f"var(--rank-{i})" for i, colour in enumerate(rank_colours(ranks).values())} if ranks else {}
    for colour, name in names.items():
        text = text.replace(colour, name)
    return text


def rank_variables(ranks: Sequence[int], is_dark: bool) -> str:
    """The colours of the ranks as CSS."""
    return " ".join(f"--rank-{i}: {colour};" for i, colour in enumerate(rank_colours(ranks, is_dark).values()))
