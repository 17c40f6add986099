"""`python -m dylora report`: tables and pictures of the runs of sweeps."""

import sys
from collections.abc import Sequence
from pathlib import Path

from dylora.cli.plain_parser import PlainParser
from dylora.errors import InputError
from dylora.report.cost_tables import loss_table, search_table
from dylora.report.curves import Curves, build_curves, without_repeats
from dylora.report.formats import Format, render
from dylora.report.paper_tables import PaperTable
from dylora.report.pivot import FIELDS, pivot
from dylora.report.plot import draw_curves, new_pictures, save
from dylora.report.printed import TABLES, check_table
from dylora.report.results import Epoch, Rates, Result, read_results
from dylora.report.settings import settings_table
from dylora.report.table import Table
from dylora.runs.folders import ROOT


def build_parser() -> PlainParser:
    """The command's options."""
    text = "Tables and pictures of the runs of sweeps: means over the seeds beside the paper's figures."
    parser = PlainParser(prog="dylora report", description=text)
    add = parser.add_argument
    add("folders", type=str, nargs="*", metavar="FOLDER", help=f"Folders to search for runs; {ROOT}/ by default.")
    text = "Table of the paper to fill: " + ", ".join(TABLES) + ". Runs made for another table are left out if any fit."
    add("--table", type=str | None, default=None, help=text)
    text = "Fields down and across in the place of a table, joined by +, among " + ", ".join(FIELDS) + "."
    add("--by", type=str | None, default=None, metavar="ROWS,COLUMNS", help=text)
    text = "Metric in the place of the table's, or of each task's own."
    add("--metric", type=str | None, default=None, help=text)
    text = "Epoch whose figures count: the last, as in the paper, or the best by the area under the rank curve."
    add("--epoch", type=Epoch, default="last", help=text)
    text = "Of a grid of learning rates the best by the first seed, or, with --by, all: each as a system of its own."
    add("--learning_rates", type=Rates, default="best", help=text)
    add("--format", type=Format, default="markdown", help="Form of the table; csv has a line for each figure.")
    text = "Draw the rank curves of all systems, with bands over the seeds, into FILE.png and FILE.svg."
    add("--plot", type=str | None, default=None, metavar="FILE", help=text)
    return parser


def report(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Args:
        arguments: The options of the command.

    Raises:
        InputError: If an option is wrong, or a folder holds no runs that can be read.
    """
    options = build_parser().parse_args(list(arguments))
    if options.plot is not None:
        new_pictures(Path(options.plot))
    if options.table is not None:
        check_table(options.table)
        if options.by is not None:
            raise InputError("--by", "left out with --table", repr(options.by), "give one of the two")
        if options.learning_rates == "all":
            raise InputError("--learning_rates", "best with --table", "'all'", "give --by in the place of --table")
    folders = [Path(name) for name in options.folders or [ROOT]]
    results, notes = read_results(folders, options.table, options.epoch, options.learning_rates)
    curves, missing = build_curves(results)
    if not curves:
        raise InputError("FOLDER", "a folder with finished runs", "; ".join(notes) or "none", "finish the sweep first")
    table = _table(options.table, options.by or "task+system,rank", options.metric, results, curves)
    table.notes += missing + notes
    if options.epoch == "best":
        table.notes.append("Figures of each run's best epoch; those of cuts are of the last")
    print(render(table, options.format))
    if options.format == "csv":
        for note in table.notes:
            print(note, file=sys.stderr)
    if options.plot is not None:
        for path in save(draw_curves(without_repeats(curves), options.metric), Path(options.plot)):
            print(f"Written: {path}", file=sys.stderr)


def _table(
    number: str | None, by: str, metric: str | None, results: Sequence[Result], curves: Sequence[Curves]
) -> Table:
    if number is None:
        return pivot(without_repeats(curves), by, metric)
    if number == "5":
        return search_table(curves)
    if number == "7":
        return loss_table(curves)
    if number == "8":
        return settings_table(results)
    return PaperTable(number, without_repeats(curves), metric).table()
