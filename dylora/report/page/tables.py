"""The tables of a page: figures and costs with ranks as columns, differences, errors of each class, examples."""

import html
import json
from collections.abc import Sequence
from typing import Any

from dylora.report.page.runs import PageRun

_NOT_SAID = (
    "ckpt_path",
    "data.cache_dir",
    "data.cache_size",
    "trainer.default_root_dir",
    "init_from",
    "rank_sampling.seed",
)
_SHOWN = 5
_LONGEST = 600


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls by itself where it is wider than the page; cells are HTML already."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figures_table(runs: Sequence[PageRun]) -> str:
    """A row a run, a column a rank; the interval below the figure, the chosen rank marked."""
    ranks = sorted({rank for run in runs for rank in run.values})
    rows = []
    for run in runs:
        summary = run.summary
        cells = [_cell(run, rank) for rank in ranks]
        rows.append([html.escape(run.name), *cells, f"{summary.mean:.4f}", f"{summary.aurac:.4f}", str(run.chosen)])
    return table(["run", *(f"rank {rank}" for rank in ranks), "mean", "AURAC", "chosen"], rows)


def _cell(run: PageRun, rank: int) -> str:
    if rank not in run.values:
        return "—"
    figure = f"{run.values[rank]:.4f}"
    figure = f"<mark>{figure}</mark>" if rank == run.chosen else figure
    band = run.intervals.get(rank)
    return figure + (f"<small>{band[0]:.4f} to {band[1]:.4f}</small>" if band else "")


def costs_table(run: PageRun) -> str:
    """Of one run, parameters and bytes beside the figure at each rank."""
    assert run.sizes is not None
    ranks = sorted(run.values)
    sizes = [run.sizes.at(rank) for rank in ranks]
    rows = [
        ["parameters", *(f"{count:,}" for count, _ in sizes)],
        ["kB", *(f"{size / 1e3:,.1f}" for _, size in sizes)],
        [html.escape(run.metric), *(f"{run.values[rank]:.4f}" for rank in ranks)],
    ]
    return table(["", *(f"rank {rank}" for rank in ranks)], rows)


def differences_table(runs: Sequence[PageRun]) -> str:
    """The options in which the runs differ, a column a run; empty where they do not."""
    names = list(dict.fromkeys(name for run in runs for name in run.options if name not in _NOT_SAID))
    rows = []
    for name in names:
        values = [run.options.get(name, "—") for run in runs]
        if len(set(values)) > 1:
            rows.append([f"<code>{html.escape(name)}</code>", *map(html.escape, values)])
    return table(["option", *(html.escape(run.name) for run in runs)], rows) if rows else ""


def errors_table(run: PageRun) -> str:
    """The share of each class's examples that is guessed wrong, at each rank; empty for other tasks."""
    kept = run.kept
    if kept is None or kept.kind != "classes":
        return ""
    rows = []
    for number in sorted(set(kept.expected.tolist())):
        of_class = kept.expected == number
        wrong = (kept.values[:, of_class] != number).mean(1)
        name = run.labels[int(number)] if int(number) < len(run.labels) else f"class {int(number)}"
        first = f"{html.escape(name)}<small>{int(of_class.sum())} examples</small>"
        rows.append([first, *(f"{share:.1%}" for share in wrong)])
    return table(["class", *(f"rank {rank}" for rank in kept.ranks)], rows)


def examples(run: PageRun) -> str:
    """The first predicted texts at every rank, below each other; empty where the run's folder has none."""
    texts = _texts(run)
    parts = []
    for about, by_rank in texts:
        rows = [[f"rank {rank}", html.escape(text[:_LONGEST])] for rank, text in sorted(by_rank.items())]
        parts.append(f"<h4>{html.escape(about[:_LONGEST])}</h4>{table(['rank', 'text'], rows)}")
    return "".join(parts)


def _texts(run: PageRun) -> list[tuple[str, dict[int, str]]]:
    """What `test` wrote (`rank_<b>.jsonl`), or `predict` (`<split>.jsonl`)."""
    folder = run.folder / "predictions"
    found: dict[int, tuple[str, dict[int, str]]] = {}
    for path in sorted(folder.glob("rank_*.jsonl")):
        rank = path.stem.removeprefix("rank_")
        for record in _first(path) if rank.isdecimal() else ():
            if "output" in record:
                about = found.setdefault(int(record["index"]), (str(record.get("input", record["index"])), {}))
                about[1][int(rank)] = str(record["output"])
    for path in sorted(folder.glob("*.jsonl")) if not found else ():
        for record in _first(path):
            texts = {int(b): each["text"] for b, each in record.get("ranks", {}).items() if "text" in each}
            if texts:
                found.setdefault(int(record["index"]), (str(record.get("input", f"Row {record['index']}")), texts))
    return list(found.values())[:_SHOWN]


def _first(path: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    lines = path.read_text(encoding="utf-8").split("\n")[:_SHOWN]
    return [record for record in map(json.loads, filter(None, lines)) if isinstance(record, dict)]
