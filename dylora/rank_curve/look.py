"""One look for all pictures: dark words on white, axes that say unit and direction, and that magnify no noise."""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from matplotlib import colormaps, rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dylora.rank_curve.direction import OF_HUNDRED, higher_is_better

Band = tuple[float, float]
"""Lower and upper end of an interval."""
INK, GROUND, GRID = "#1a1a1a", "#ffffff", "#d4d4d4"
_PARTS = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "legend.labelcolor")
_GROUNDS = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
LOOK: Any = {  # matplotlib names every key in its type
    **dict.fromkeys(_PARTS, INK),
    **dict.fromkeys(_GROUNDS, GROUND),
    "grid.color": GRID,
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "dylora",  # the same picture is the same file
}
"""Set whatever is set elsewhere, so that a picture can be read on a dark page, too."""

_UNITS = {
    "loss": "nats",
    "accuracy": "share of 1",
    "token_accuracy": "share of 1",
    "exact_match": "share of 1",
    "slot_accuracy": "share of 1",
    "perplexity": "per token",
    "matthews": "-1 to 1",
    "pearson": "-1 to 1",
    "spearman": "-1 to 1",
}
_OF_ONE = "0 to 1"
_LEAST_SPAN = 0.05


def look() -> AbstractContextManager[None]:
    """The settings of all pictures, for the time of a `with`."""
    return rc_context(LOOK)


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches. Not through pyplot: no display is asked for and no figure stays open."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120, facecolor=GROUND)
    FigureCanvasAgg(figure)
    return figure


def axis_label(metric: str) -> str:
    """A metric as the label of an axis: its name, its unit and which way it is better.

    >>> axis_label("accuracy"), axis_label("ter_tercom_S")
    ('accuracy (share of 1), higher is better', 'ter_tercom_S, lower is better')
    """
    unit = _UNITS.get(metric) or (_OF_ONE if metric.startswith(OF_HUNDRED) else "")
    direction = "higher is better" if higher_is_better(metric) else "lower is better"
    return f"{metric}{f' ({unit})' if unit else ''}, {direction}"


def limits(values: Iterable[float], metric: str) -> tuple[float, float]:
    """Limits of a metric's axis: around the finite values, but never so close that noise looks like a cliff.

    The axis spans 0.05 at least of a share or a correlation, and 5 % of the largest value of anything else.

    >>> limits([0.5, 0.501], "accuracy")
    (0.4725, 0.5285)
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    least = _LEAST_SPAN if metric.startswith(OF_HUNDRED) else _LEAST_SPAN * max(abs(low), abs(high), 1e-9)
    middle, span = (low + high) / 2, max(high - low, least)
    return round(middle - 0.56 * span, 10), round(middle + 0.56 * span, 10)


def rank_colours(ranks: Sequence[int], is_dark: bool = False) -> dict[int, str]:
    """A colour a rank, from dark to light in even steps to the eye, each readable on its ground.

    Args:
        ranks: The ranks.
        is_dark: For a dark ground.
    """
    first, last = (0.35, 1.0) if is_dark else (0.0, 0.8)
    steps = max(1, len(ranks) - 1)
    return {
        rank: to_hex(colormaps["viridis"](first + (last - first) * i / steps)) for i, rank in enumerate(sorted(ranks))
    }
