"""Rank curves of all systems in one picture."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from dylora.errors import InputError
from dylora.report.curves import Curves
from dylora.whole_files import check_writable, whole_file

# Okabe and Ito's colours, which people with any colour vision can tell apart
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00")
_MARKERS = "osD^vP*X"
_MOST_ACROSS = 4
_LINES = ("-", "--", ":")
_FAR, _MARGIN = 2.0, 0.05
_LEAVES = "a line that leaves the panel lies far off"
_BAND = "line: mean over the seeds; band: lowest to highest seed"


def draw_curves(curves: Sequence[Curves], metric: str | None = None) -> Figure:
    """A panel a task: for each system the mean over the seeds, and a band from the lowest seed to the highest.

    The background is white whatever is set elsewhere, so that it can be read on a dark page, too.

    Args:
        curves: The runs' rank curves.
        metric: The metric; each task's own if left out.

    Raises:
        InputError: If no run has the metric.
    """
    shown = [c for c in curves if c.ranks(metric or c.monitor)]
    if not shown:
        known = ", ".join(sorted({name for c in curves for name in c.by_metric}))
        raise InputError("--metric", "a metric of the runs: " + known, repr(metric), "choose one of them")
    tasks = list(dict.fromkeys(c.task for c in shown))
    labels = list(dict.fromkeys(c.label for c in shown))
    down = -(-len(tasks) // _MOST_ACROSS)
    across = -(-len(tasks) // down)
    figure = Figure(figsize=(0.6 + 5.2 * across, 4.0 * down + 0.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)  # not through pyplot: no display is asked for and no figure stays open
    panels = figure.subplots(down, across, squeeze=False)
    for axes, task in zip(panels.flat, tasks, strict=False):
        for c in (c for c in shown if c.task == task):
            _draw(axes, c, metric or c.monitor, labels.index(c.label))
        axes.set(title=task, xlabel="rank", ylabel=metric or next(c.monitor for c in shown if c.task == task))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if limits := near_limits([_extent(c, metric or c.monitor) for c in shown if c.task == task]):
            axes.set_ylim(*limits)
            axes.set_xlabel(f"rank ({_LEAVES})")
    for axes in panels.flat[len(tasks) :]:
        axes.set_axis_off()
    handles = {label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels())}  # noqa: B905
    if any(axes.collections for axes in panels.flat):
        handles[_BAND] = Patch(color="#808080", alpha=0.3, linewidth=0)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2 * across, frameon=False)
    return figure


def near_limits(extents: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Limits of an axis that leave the ends of those lines out that lie far off; None where none does.

    A line is far off if it reaches further beyond the others than twice their own range: it would press them together.

    Args:
        extents: Lowest and highest value of each line.

    >>> near_limits([(80, 84), (81, 84), (30, 84)])
    (79.8, 84.2)
    """
    far = []
    for i, (low, high) in enumerate(extents):
        others = [*extents[:i], *extents[i + 1 :]]
        if not others:
            return None
        least, most = min(each[0] for each in others), max(each[1] for each in others)
        far.append(max(least - low, high - most) > _FAR * (most - least))
    near = [extent for extent, is_far in zip(extents, far, strict=True) if not is_far]
    if not any(far) or not near:
        return None
    low, high = min(each[0] for each in near), max(each[1] for each in near)
    return low - _MARGIN * (high - low), high + _MARGIN * (high - low)


def _extent(curves: Curves, metric: str) -> tuple[float, float]:
    values = [value for rank in curves.ranks(metric) for value in curves.pick(metric, rank).values]
    return min(values), max(values)


def new_pictures(path: Path) -> list[Path]:
    """Where the picture goes, as PNG and as SVG, whatever the ending of the path.

    Raises:
        InputError: If one of them exists, or could not be written.
    """
    paths = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for found in paths:
        if found.exists():
            raise InputError("--plot", "a new file", f"{str(found)!r}, which exists", "choose another name")
    check_writable("--plot", path.parent)
    return paths


def save(figure: Figure, path: Path) -> list[Path]:
    """Write the picture as PNG and as SVG; nothing is written over.

    Raises:
        InputError: If one of them exists, or cannot be written.
    """
    paths = new_pictures(path)
    for written in paths:
        with whole_file(written) as file:
            figure.savefig(file, dpi=150, format=written.suffix.removeprefix("."))
    return paths


def _draw(axes: Axes, curves: Curves, metric: str, number: int) -> None:
    ranks = curves.ranks(metric)
    seeds = [curves.pick(metric, rank).values for rank in ranks]
    means = [fmean(values) for values in seeds]
    colour = _COLOURS[number % len(_COLOURS)]
    if len(ranks) == 1:  # one figure for all ranks, such as that of full fine-tuning
        axes.axhline(means[0], color=colour, linestyle="--", label=curves.label)
        return
    line, marker = _LINES[number // len(_COLOURS) % len(_LINES)], _MARKERS[number % len(_MARKERS)]
    axes.plot(ranks, means, line, color=colour, marker=marker, markersize=4, label=curves.label)
    if any(len(values) > 1 for values in seeds):
        low, high = [min(values) for values in seeds], [max(values) for values in seeds]
        axes.fill_between(ranks, low, high, color=colour, alpha=0.15, linewidth=0)
