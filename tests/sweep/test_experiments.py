"""The experiments, the paper's and our own: each is read, expanded, and made of options that `fit` takes."""

import shlex
from pathlib import Path

import pytest

from dylora.cli import main
from dylora.cli.sweep import resolve_options
from dylora.report.printed import TABLES, printed_figures
from dylora.sweep.expansion import expand
from dylora.sweep.file import read_sweep

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
FILES = sorted(FOLDER.glob("*.yaml"))
RUNS = {  # systems x tasks x seeds, with the ranks of those that are trained once for each
    "table1": 6 * 4 * 4,
    "table2": 4 * 8 * 4,
    "table3": 4 * 4 * 4,
    "table4": 4 * 6 * 4,
    "table5": (7 + 2) * 2 * 4,
    "table6": 4 * 1 * 3,
    "table7": 2 * 1 * 4,
    "table9": 4 * 2 * 3,
    "v1_table1": 2 * 8 * 4,
    "defaults": 6 * 4 * (3 + 2),  # three learning rates with the first seed, one with the two others
    "truncation": 6,
    "recipes": (6 + 3) * 5 * (3 + 3) + 5 * 3,  # three learning rates in runs of their own, one with each of three seeds
    "recipes_text": (4 + 3) * 2 * (2 + 3),
    "laws_and_ranges": 8 * 3,
}
OWN = ("defaults", "truncation", "recipes", "recipes_text", "laws_and_ranges")
PAPER = [path for path in FILES if path.stem not in OWN]


def test_there_is_one_for_each_table_of_results():
    assert sorted(path.stem for path in FILES) == sorted(RUNS)
    tables = sorted(read_sweep(path).table for path in PAPER)
    assert tables == sorted(table for table in TABLES if table != "8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_run_has_a_folder_of_its_own(path):
    runs = expand(read_sweep(path), path.stem, Path("logs"), {})
    assert len({run.place for run in runs}) == len(runs) == RUNS[path.stem]


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_it_has_the_papers_systems_and_tasks(path):
    sweep = read_sweep(path)
    printed = printed_figures(sweep.table)
    assert set(sweep.systems) == {figure.system for figure in printed}
    assert set(sweep.tasks) == {figure.task for figure in printed} - {"avg"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_small_preset_is_offline(path):
    small = read_sweep(path).with_preset("small")
    assert list(small.tasks) == ["restaurants"]
    assert len(small.seeds) in (2, 3)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_first_line_is_the_command(path):
    words = shlex.split(path.read_text().splitlines()[0].removeprefix("#"))
    assert words == ["python", "-m", "dylora", "sweep", f"experiments/{path.name}"]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fit_takes_all_options(path, tmp_path):
    sweep = read_sweep(path)
    for size in (sweep, sweep.with_preset("small")):
        resolve_options(expand(size, path.stem, tmp_path, {}), main, path.name)
