"""Pictures of the metric over ranks and epochs, and the table that goes with them."""

from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dylora.select import RankSummary

_MOST_COLUMNS = 16


def draw_rank_curve(values: Mapping[int, float], metric: str, title: str, summary: RankSummary) -> Figure:
    """The metric against the rank, with the best and the chosen rank marked.

    Args:
        values: The metric at each rank.
        metric: Its name, the label of the axis.
        title: The picture's title.
        summary: Of the same values.
    """
    figure = _figure(6.4, 4.0)
    axes = figure.subplots()
    ranks = sorted(values)
    axes.plot(ranks, [values[rank] for rank in ranks], marker="o", color="#2b5c8a", label="every rank, one adapter")
    axes.axhline(summary.mean, color="#999999", linewidth=1, linestyle=":", label=f"mean {summary.mean:.4f}")
    chosen = summary.chosen_rank
    axes.plot([chosen], [values[chosen]], "o", markersize=11, markerfacecolor="none", color="#c0392b")
    axes.annotate(f"chosen: rank {chosen}", (chosen, values[chosen]), xytext=(8, -16), textcoords="offset points")
    axes.set(xlabel="rank", ylabel=metric, title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.25)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    return figure


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


def table_header(first: str, ranks: Sequence[int]) -> str:
    """Heading of the rows that `table_row` makes."""
    cells = [f"{f'rank {rank}':>8}" for rank in shown_ranks(ranks)]
    summary = f"{'mean':>10}{'best':>6}{'chosen':>8}" if len(ranks) > 1 else ""
    return f"{first:<12}{''.join(cells)}{summary}"


def table_row(first: str, values: Mapping[int, float], summary: RankSummary) -> str:
    """One row: the metric at every rank (at most 16 of them) and, of several, its mean, the best and the chosen one.

    >>> from dylora.select import summarise
    >>> values = {1: 0.8, 2: 0.9}
    >>> table_row("epoch 1", values, summarise(values))
    'epoch 1       0.8000  0.9000    0.8500     2       2'
    """
    cells = [f"{values[rank]:>8.4f}" for rank in shown_ranks(sorted(values))]
    words = f"{summary.mean:>10.4f}{summary.best_rank:>6}{summary.chosen_rank:>8}" if len(values) > 1 else ""
    return f"{first:<12}{''.join(cells)}{words}"


def shown_ranks(ranks: Sequence[int]) -> list[int]:
    """The ranks that a terminal has room for: all, or 16 of them evenly spread with both ends.

    >>> shown_ranks(range(1, 65))[:3], shown_ranks(range(1, 65))[-1]
    ([1, 5, 9], 64)
    """
    if len(ranks) <= _MOST_COLUMNS:
        return list(ranks)
    last = len(ranks) - 1
    return [ranks[round(i * last / (_MOST_COLUMNS - 1))] for i in range(_MOST_COLUMNS)]


def _figure(width: float, height: float) -> Figure:
    # Not through pyplot: no display is asked for and no figure stays open.
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure
