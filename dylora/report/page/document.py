"""The page itself."""

import html
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from dylora.errors import InputError
from dylora.rank_curve.table import shown_ranks
from dylora.report.page.pictures import draw_costs, draw_curves, draw_epochs, inline_svg, rank_variables
from dylora.report.page.runs import PageRun
from dylora.report.page.tables import costs_table, differences_table, errors_table, examples, figures_table

_MOST_RUNS = 12  # of which a page shows what needs a picture or a table each


def check_free(path: Path) -> None:
    """Refuse a file that is there already.

    Raises:
        InputError: If it exists.
    """
    if path.exists():
        raise InputError("--html", "a file that does not exist yet", repr(str(path)), "choose another, or delete it")


def write_page(path: Path, runs: Sequence[PageRun]) -> None:
    """Write the page into a new file.

    Raises:
        InputError: If it exists, or cannot be written.
    """
    check_free(path)
    content = page(runs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        given = f"{str(path)!r} ({error.strerror})"
        raise InputError("--html", "a file that can be written", given, "choose another place") from error


def page(runs: Sequence[PageRun]) -> str:
    """All of it: no script, and nothing from elsewhere."""
    tasks: dict[tuple[str, str], list[PageRun]] = {}
    for run in runs:
        tasks.setdefault((run.task, run.metric), []).append(run)
    body = "".join(_task(task, metric, same) for (task, metric), same in tasks.items())
    differences = _section("What the runs differ in", differences_table(runs)) if len(runs) > 1 else ""
    each = "".join(_run(run) for run in runs[:_MOST_RUNS])
    left = f"<p>Of {len(runs)} runs the first {_MOST_RUNS} are shown one by one.</p>" if len(runs) > _MOST_RUNS else ""
    title = "dylora: " + html.escape(", ".join(dict.fromkeys(run.task for run in runs)))
    words = "Figures of each run's best epoch (by the area under the rank curve, AURAC), on its validation data."
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_style(runs)}</style></head>'
        f"<body><h1>{title}</h1><p>{words}</p>{body}{differences}{each}{left}</body></html>\n"
    )


def _style(runs: Sequence[PageRun]) -> str:
    css = files("dylora.report.page").joinpath("style.css").read_text(encoding="utf-8")
    most = max((shown_ranks(sorted(run.epochs[-1])) for run in runs), key=len)
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {rank_variables(most, True)} }} }}"
    return f"{css}\n:root {{ {rank_variables(most, False)} }}\n{dark}"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""


def _task(task: str, metric: str, runs: Sequence[PageRun]) -> str:
    name = html.escape(task)
    curves = inline_svg(draw_curves(runs), f"{html.escape(metric)} at every rank")
    words = "<p>Band: 95 % interval of each rank. Ring and mark: the chosen rank. Dashed: SVD cut, where known.</p>"
    parts = [_section(f"{name}: every rank", curves + words + figures_table(runs))]
    sized = [run for run in runs if run.sizes]
    if sized:
        picture = inline_svg(draw_costs(sized), "quality against size at every rank")
        seconds = "".join(
            f"<li>{html.escape(run.name)}: {run.seconds:,.0f} s of training for all ranks together</li>"
            for run in sized
            if run.seconds
        )
        tables = "".join(f"<h3>{html.escape(run.name)}</h3>{costs_table(run)}" for run in sized[:_MOST_RUNS])
        words = "<p>With what is the same at every rank, such as a task head; without the backbone.</p>"
        times = f"<ul>{seconds}</ul>" if seconds else ""
        parts.append(_section(f"{name}: cost beside quality", picture + words + times + tables))
    return "".join(parts)


def _run(run: PageRun) -> str:
    content = f"<p>{html.escape(run.statement)}</p>" if run.statement else ""
    if len(run.epochs) > 1:
        ranks = shown_ranks(sorted(run.epochs[-1]))
        content += inline_svg(draw_epochs(run), "every rank over the epochs", ranks)
    if errors := errors_table(run):
        content += f"<h3>Errors of each class</h3>{errors}"
    if texts := examples(run):
        content += f"<h3>Examples at every rank</h3>{texts}"
    return _section(html.escape(run.name), content)
