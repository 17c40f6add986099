"""Pictures of the metric at every rank over the epochs: lines, and a map of colours."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dylora.rank_curve.look import Band, axis_label, limits, look, new_figure, rank_colours
from dylora.rank_curve.table import shown_ranks

_BAND = "#D55E00"
_LEAST_GAP = 0.045  # between two labels, as a share of the axis' height
_MOST_CELLS = 160


def draw_every_rank(
    epochs: Sequence[Mapping[int, float]],
    metric: str,
    title: str,
    chosen: int,
    bands: Mapping[int, Band] | None = None,
) -> Figure:
    """The metric over the epochs, a line a rank, named at its end; the chosen rank thick, its interval as a band.

    Args:
        epochs: For each epoch, from the first, the metric at each rank; an epoch may lack some.
        metric: Its name, the label of the axis.
        title: The picture's title.
        chosen: The rank to stress.
        bands: The interval of that rank in the epochs (counted from 1) where it is known.
    """
    with look():
        figure = new_figure(9.0, 5.4)
        axes = figure.subplots()
        ranks, numbers = shown_ranks(_ranks_of(epochs)), list(range(1, len(epochs) + 1))
        for rank, colour in rank_colours(ranks).items():
            values = [epoch.get(rank, math.nan) for epoch in epochs]
            width, size = (3.5, 7) if rank == chosen else (1.6, 4)
            axes.plot(numbers, values, color=colour, linewidth=width, marker="o", markersize=size, label=f"rank {rank}")
        ends = [end for band in (bands or {}).values() for end in band]
        axes.set_ylim(*limits([*(epoch[rank] for epoch in epochs for rank in ranks if rank in epoch), *ends], metric))
        axes.set(xlabel="epoch", ylabel=axis_label(metric), title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.06)
        axes.grid(True)
        _draw_band(figure, axes, chosen, bands or {})
        _name_lines(axes, epochs[-1], ranks, len(epochs), chosen)
        return figure


def draw_heat_map(epochs: Sequence[Mapping[int, float]], metric: str, title: str) -> Figure:
    """The metric as colour over ranks (across) and epochs (down), with the figures in the cells where there is room.

    Args:
        epochs: For each epoch the metric at each rank; an epoch may lack some.
        metric: Its name, the label of the colours.
        title: The picture's title.
    """
    with look():
        figure = new_figure(9.0, 2.2 + 0.42 * min(len(epochs), 30))
        axes = figure.subplots()
        ranks = _ranks_of(epochs)
        rows = [[row.get(rank, math.nan) for rank in ranks] for row in epochs]
        low, high = limits([value for row in rows for value in row], metric)
        image = axes.imshow(rows, aspect="auto", cmap="viridis", vmin=low, vmax=high)
        axes.set(xlabel="rank of the adapter", ylabel="epoch", title=title)
        shown = shown_ranks(ranks)
        axes.set_xticks([ranks.index(rank) for rank in shown], [str(rank) for rank in shown])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: str(int(value) + 1))
        if len(ranks) <= 12 and len(ranks) * len(rows) <= _MOST_CELLS:
            _write_figures(axes, [[row.get(rank) for rank in ranks] for row in epochs], (low + high) / 2)
        figure.colorbar(image, label=axis_label(metric))
        return figure


def apart(places: Sequence[float], least: float) -> list[float]:
    """Places moved apart, so that two neighbours lie at least so far from each other; their order stays.

    >>> apart([0.0, 0.1, 5.0], 1.0)
    [-0.45, 0.55, 5.0]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    blocks: list[tuple[float, int]] = []  # each the middle of labels that touch, and how many they are
    for i in order:
        middle, count = places[i], 1
        while blocks and middle - blocks[-1][0] < least * (count + blocks[-1][1]) / 2 - 1e-12:
            before, more = blocks.pop()
            middle, count = (before * more + middle * count) / (more + count), count + more
        blocks.append((middle, count))
    moved = [middle + least * (k - (count - 1) / 2) for middle, count in blocks for k in range(count)]
    found = dict(zip(order, moved, strict=True))
    return [round(found[i], 10) for i in range(len(places))]


def _ranks_of(epochs: Sequence[Mapping[int, float]]) -> list[int]:
    return sorted({rank for epoch in epochs for rank in epoch})


def _draw_band(figure: Figure, axes: Axes, chosen: int, bands: Mapping[int, Band]) -> None:
    if not bands:
        return
    numbers = sorted(bands)
    low, high = [bands[n][0] for n in numbers], [bands[n][1] for n in numbers]
    words = f"95 % interval of rank {chosen}, the chosen one"
    if len(numbers) == 1:
        middle, half = (high[0] + low[0]) / 2, (high[0] - low[0]) / 2
        axes.errorbar(numbers, [middle], yerr=[half], color=_BAND, capsize=6, fmt="none", label=words)
    else:
        axes.fill_between(numbers, low, high, color=_BAND, alpha=0.18, linewidth=0, label=words)
    handles, labels = axes.get_legend_handles_labels()
    shown = [handles[labels.index(words)]], [words]
    figure.legend(*shown, frameon=False, loc="outside lower center")  # inside the axes it would hide a line


def _name_lines(axes: Axes, last: Mapping[int, float], ranks: Sequence[int], epoch: int, chosen: int) -> None:
    low, high = axes.get_ylim()
    colours = rank_colours(ranks)
    finite = [rank for rank in ranks if not math.isnan(last.get(rank, math.nan))]
    places = apart([last[rank] for rank in finite], _LEAST_GAP * (high - low))
    for rank, place in zip(finite, places, strict=True):
        axes.annotate(
            f"rank {rank}",
            (epoch, last[rank]),
            xytext=(1.02, (place - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            color=colours[rank],
            fontweight="bold" if rank == chosen else "normal",
            arrowprops={"arrowstyle": "-", "color": colours[rank], "linewidth": 0.6, "relpos": (0, 0.5)},
        )


def _write_figures(axes: Axes, rows: Sequence[Sequence[float | None]], middle: float) -> None:
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            if value is not None:
                axes.text(x, y, f"{value:.3g}", ha="center", va="center", color="white" if value < middle else "black")
