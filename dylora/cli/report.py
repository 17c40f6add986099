"""`python -m dylora report`: tables and pictures of the runs of sweeps."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dylora.cli.commands import typed
from dylora.cli.plain_parser import PlainParser
from dylora.errors import InputError
from dylora.report.against import against_table
from dylora.report.chance import chance_note
from dylora.report.cost_tables import loss_table, search_table
from dylora.report.curves import Curves, build_curves, without_aliases, without_repeats
from dylora.report.formats import Format, render
from dylora.report.names import select
from dylora.report.paper_tables import PaperTable
from dylora.report.pivot import FIELDS, pivot
from dylora.report.plot import draw_curves, new_pictures, save
from dylora.report.printed import TABLES, check_table
from dylora.report.reference import find_reference
from dylora.report.results import Epoch, Rates, Result, read_results, read_tuning
from dylora.report.settings import settings_table
from dylora.report.table import Table
from dylora.runs.folders import ROOT


def build_parser() -> PlainParser:
    """The command's options."""
    text = "Tables and pictures of the runs of sweeps: means over the seeds beside the paper's figures."
    parser = PlainParser(prog=typed("report"), description=text)
    add = parser.add_argument
    add("folders", type=str, nargs="*", metavar="FOLDER", help=f"Folders to search for runs; {ROOT}/ by default.")
    text = "Table of the paper to fill: " + ", ".join(TABLES) + ". Runs made for another table are left out if any fit."
    add("--table", type=str | None, default=None, help=text)
    text = "Fields down and across in the place of a table, joined by +, among " + ", ".join(FIELDS) + "."
    add("--by", type=str | None, default=None, metavar="ROWS,COLUMNS", help=text)
    text = "Compare every system with this one: paired differences at every rank, with intervals, in place of a table. "
    text += "A system, a cut of one as lora/svd (or lora_svd), or the best of its cuts as lora/best."
    add("--against", type=str | None, default=None, metavar="SYSTEM", help=text)
    text = "Systems to show, with commas between them: dylora,lora/svd. A name alone is the system as it was trained, "
    text += "lora/* all its cuts; all by default."
    add("--systems", type=str | None, default=None, metavar="NAMES", help=text)
    text = "Metric in the place of the table's, or of each task's own."
    add("--metric", type=str | None, default=None, help=text)
    text = "Epoch whose figures count: the last, as in the paper, or the best by the area under the rank curve."
    add("--epoch", type=Epoch, default="last", help=text)
    text = "Of a grid of learning rates the best by the first seed, or, with --by, all: each as a system of its own."
    add("--learning_rates", type=Rates, default="best", help=text)
    add("--format", type=Format, default="markdown", help="Form of the table; csv has a line for each figure.")
    text = "Draw the rank curves, with bands from the lowest to the highest seed, into FILE.png and FILE.svg."
    add("--plot", type=str | None, default=None, metavar="FILE", help=text)
    text = (
        "Write one page with curves, figures, costs, differences and examples of the runs (of a sweep, or folders like "
    )
    text += "logs/<task>/version_<n>) into this new file, in place of a table."
    add("--html", type=str | None, default=None, metavar="FILE", help=text)
    return parser


def report(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Args:
        arguments: The options of the command.

    Raises:
        InputError: If an option is wrong, or a folder holds no runs that can be read.
    """
    options = build_parser().parse_args(list(arguments))
    _check(options)
    if options.plot is not None:
        new_pictures(Path(options.plot))
    folders = [Path(name) for name in options.folders or [ROOT]]
    if options.html is not None:
        _write_page(Path(options.html), folders)
        return
    results, notes = read_results(folders, options.table, options.epoch, options.learning_rates)
    curves, missing = build_curves(results)
    if not curves:
        raise InputError("FOLDER", "a folder with finished runs", "; ".join(notes) or "none", "finish the sweep first")
    shown = select(curves, options.systems) if options.systems is not None else curves
    tuning, _ = build_curves(read_tuning(folders, results)) if options.against is not None else ([], [])
    table = _table(options, results, curves, shown, tuning)
    table.notes += missing + notes
    if options.epoch == "best":
        table.notes.append("Figures of each run's best epoch; those of cuts are of the last")
    print(render(table, options.format))
    if options.format == "csv":
        for note in table.notes:
            print(note, file=sys.stderr)
    if options.plot is not None:
        for path in save(draw_curves(_distinct(shown), options.metric), Path(options.plot)):
            print(f"Written: {path}", file=sys.stderr)


def _write_page(path: Path, folders: Sequence[Path]) -> None:
    from dylora.report.page.document import check_free, write_page  # reads checkpoints: torch is slow to import
    from dylora.report.page.runs import read_runs

    check_free(path)
    write_page(path, read_runs(folders))
    print(f"Written: {path}", file=sys.stderr)


def _check(options: Any) -> None:  # noqa: ANN401
    """Refuse options that exclude each other."""
    if options.table is not None:
        check_table(options.table)
    for name in ("table", "by", "against", "plot", "systems", "metric"):
        if options.html is not None and options[name] is not None:
            raise InputError(f"--{name}", "left out with --html", repr(options[name]), "give one of the two")
    if options.table is not None and options.by is not None:
        raise InputError("--by", "left out with --table", repr(options.by), "give one of the two")
    if options.table is not None and options.learning_rates == "all":
        raise InputError("--learning_rates", "best with --table", "'all'", "give --by in the place of --table")
    for name in ("table", "by"):
        if options.against is not None and options[name] is not None:
            raise InputError(f"--{name}", "left out with --against", repr(options[name]), "give one of the two")


def _table(
    options: Any,  # noqa: ANN401
    results: Sequence[Result],
    curves: Sequence[Curves],
    shown: Sequence[Curves],
    tuning: Sequence[Curves],
) -> Table:
    """The table that is asked for, with a note where all that it shows is at chance."""
    if options.against is not None:
        reference = find_reference(curves, options.against, tuning)
        table = against_table(_distinct(shown), reference, options.metric)
        shown = [*shown, *reference.curves.values()]
    elif options.table is not None:
        table = _paper_table(options.table, options.metric, results, shown)
    else:
        table = pivot(_distinct(shown), options.by or "task+system,rank", options.metric)
    table.notes += chance_note(shown)
    return table


def _paper_table(number: str, metric: str | None, results: Sequence[Result], curves: Sequence[Curves]) -> Table:
    if number == "5":
        return search_table(curves)
    if number == "7":
        return loss_table(curves)
    if number == "8":
        return settings_table(results)
    return PaperTable(number, without_repeats(curves), metric).table()


def _distinct(curves: Sequence[Curves]) -> list[Curves]:
    """Each figure once: a system as it was trained, and the cuts that were evaluated by themselves."""
    return without_repeats(without_aliases(curves))
