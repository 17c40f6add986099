"""Picture of the metric over the ranks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dylora.rank_curve.choice import RankChoice
from dylora.rank_curve.look import INK, Band, axis_label, limits, look, new_figure
from dylora.rank_curve.summary import RankSummary
from dylora.whole_files import whole_file

_CURVE, _CHOSEN, _REFERENCE = "#0072B2", "#D55E00", "#595959"


def draw_rank_curve(
    values: Mapping[int, float],
    metric: str,
    title: str,
    summary: RankSummary,
    choice: RankChoice | None = None,
    reference: Mapping[int, float] | None = None,
    bands: Mapping[int, Band] | None = None,
) -> Figure:
    """The metric against the rank, with the best and the chosen rank marked.

    Args:
        values: The metric at each rank.
        metric: Its name, the label of the axis.
        title: The picture's title.
        summary: Of the same values.
        choice: Made of the outcomes behind the values: the band of each rank's interval, and the rank to mark in the
            place of the summary's.
        reference: The metric at each rank of the same adapter under the SVD cut.
        bands: Each rank's interval where there is no choice that has them.
    """
    with look():
        figure = new_figure(8.0, 5.0)
        axes = figure.subplots()
        ranks = sorted(values)
        if choice is not None:
            bands = {rank: (found.metric.low, found.metric.high) for rank, found in choice.evidence.items()}
        axes.plot(ranks, [values[rank] for rank in ranks], marker="o", color=_CURVE, label="every rank, one adapter")
        if reference:
            cut = sorted(reference)
            line: dict[str, Any] = {"color": _REFERENCE, "linestyle": "--", "marker": "s", "markersize": 4}
            axes.plot(cut, [reference[rank] for rank in cut], label="the same adapter, SVD cut", **line)
        axes.axhline(summary.mean, color=_CURVE, linewidth=1, linestyle=":", label=f"mean {summary.mean:.4f}")
        _draw_intervals(axes, bands or {})
        chosen = summary.chosen_rank if choice is None else choice.rank
        if chosen is not None:
            _mark(axes, values, chosen)
        axes.set(xlabel="rank of the adapter", ylabel=axis_label(metric), title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        ends = [end for band in (bands or {}).values() for end in band]
        axes.set_ylim(*limits([*values.values(), *(reference or {}).values(), *ends], metric))
        axes.grid(True)
        figure.legend(frameon=False, loc="outside lower center", ncols=2)
        return figure


def save_picture(figure: Figure, path: Path, with_svg: bool = False) -> None:
    """Write a picture, whole or not at all, as its ending says and, if asked for, as SVG beside it."""
    with look():
        with whole_file(path) as file:
            figure.savefig(file, format=path.suffix.removeprefix("."))
        if with_svg:
            with whole_file(path.with_suffix(".svg")) as file:
                figure.savefig(file, format="svg", metadata={"Date": None})


def _draw_intervals(axes: Axes, bands: Mapping[int, Band]) -> None:
    if not bands:
        return
    ranks = sorted(bands)
    low, high = [bands[rank][0] for rank in ranks], [bands[rank][1] for rank in ranks]
    axes.fill_between(ranks, low, high, color=_CURVE, alpha=0.15, linewidth=0, label="95 % interval of each rank")


def _mark(axes: Axes, values: Mapping[int, float], chosen: int) -> None:
    ranks = sorted(values)
    axes.plot([chosen], [values[chosen]], "o", markersize=12, markerfacecolor="none", color=_CHOSEN, markeredgewidth=2)
    is_right = ranks.index(chosen) > len(ranks) / 2  # its words would leave the picture
    offset, side = ((-12, -20), "right") if is_right else ((10, -20), "left")
    words = f"chosen: rank {chosen}"
    axes.annotate(words, (chosen, values[chosen]), textcoords="offset points", xytext=offset, ha=side, color=INK)
