"""The paper's figures as they are shipped."""

import pytest

from dylora.errors import InputError
from dylora.report.printed import LABELS, TABLES, TITLES, check_table, printed_figures, printed_rows


@pytest.mark.parametrize(
    ("table", "rows"),
    [("1", 24), ("2", 252), ("3", 25), ("4", 56), ("5", 8), ("6", 65), ("7", 2), ("8", 28), ("9", 50), ("v1.1", 36)],
)
def test_every_row_of_every_table_is_there(table, rows):
    assert len(printed_rows(table)) == rows
    assert table in TITLES


@pytest.mark.parametrize("table", [table for table in TABLES if table != "8"])
def test_no_two_figures_of_a_table_share_a_place(table):
    figures = printed_figures(table)
    places = {(figure.system, figure.pick, figure.task, figure.metric, figure.r_max) for figure in figures}
    assert len(places) == len(figures)


def test_systems_are_named_as_in_the_experiments():
    assert {p.system for p in printed_figures("4")} == {
        "dylora",
        "dylora_frozen",
        "dylora_geometric",
        "dylora_frozen_geometric",
    }
    assert {p.system for p in printed_figures("7")} == {"dylora", "dylora_summation"}
    for table in ("1", "2", "3", "4", "6", "9", "v1.1"):
        assert {p.system for p in printed_figures(table)} <= set(LABELS)


def test_a_table_that_the_paper_does_not_have():
    with pytest.raises(InputError, match=r"--table: must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, v1\.1, got '10'"):
        check_table("10")
