"""Pictures of the metric over ranks and epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dylora.rank_curve.choice import RankChoice
from dylora.rank_curve.summary import RankSummary
from dylora.whole_files import whole_file


def draw_rank_curve(
    values: Mapping[int, float], metric: str, title: str, summary: RankSummary, choice: RankChoice | None = None
) -> Figure:
    """The metric against the rank, with the best and the chosen rank marked.

    Args:
        values: The metric at each rank.
        metric: Its name, the label of the axis.
        title: The picture's title.
        summary: Of the same values.
        choice: Made of the outcomes behind the values: the band of each rank's interval, and the rank to mark in the
            place of the summary's.
    """
    figure = _figure(6.4, 4.0)
    axes = figure.subplots()
    ranks = sorted(values)
    axes.plot(ranks, [values[rank] for rank in ranks], marker="o", color="#2b5c8a", label="every rank, one adapter")
    axes.axhline(summary.mean, color="#999999", linewidth=1, linestyle=":", label=f"mean {summary.mean:.4f}")
    if choice is not None:
        low, high = ([getattr(choice.evidence[rank].metric, end) for rank in ranks] for end in ("low", "high"))
        axes.fill_between(
            ranks, low, high, color="#2b5c8a", alpha=0.15, linewidth=0, label="95 % interval of each rank"
        )
    chosen = summary.chosen_rank if choice is None else choice.rank
    if chosen is not None:
        _mark(axes, chosen, values)
    axes.set(xlabel="rank", ylabel=metric, title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.25)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    return figure


def _mark(axes: Any, chosen: int, values: Mapping[int, float]) -> None:  # noqa: ANN401 (matplotlib's)
    """Mark the chosen rank, in words too."""
    axes.plot([chosen], [values[chosen]], "o", markersize=11, markerfacecolor="none", color="#c0392b")
    is_right = sorted(values).index(chosen) > len(values) / 2  # its words would leave the picture
    place: dict[str, Any] = {"xytext": (-10 if is_right else 8, -16), "ha": "right" if is_right else "left"}
    axes.annotate(f"chosen: rank {chosen}", (chosen, values[chosen]), textcoords="offset points", **place)


def draw_heat_map(epochs: Sequence[Mapping[int, float]], metric: str, title: str) -> Figure:
    """The metric as colour over ranks (across) and epochs (down).

    Args:
        epochs: For each epoch the metric at each rank.
        metric: Its name, the label of the colours.
        title: The picture's title.
    """
    figure = _figure(6.4, 1.6 + 0.3 * min(len(epochs), 30))
    axes = figure.subplots()
    ranks = sorted(epochs[-1])
    image = axes.imshow([[row[rank] for rank in ranks] for row in epochs], aspect="auto", cmap="viridis")
    axes.set(xlabel="rank", ylabel="epoch", title=title)
    axes.set_xticks(range(len(ranks)), [str(rank) for rank in ranks])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: str(int(value) + 1))
    figure.colorbar(image, label=metric)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write a picture, whole or not at all, in the format that the path's ending names."""
    with whole_file(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."))


def _figure(width: float, height: float) -> Figure:
    # Not through pyplot: no display is asked for and no figure stays open.
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure
