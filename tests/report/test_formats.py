"""One table in every form."""

import csv

import pytest

from dylora.report.formats import render
from dylora.report.table import Table


@pytest.fixture
def table():
    tidy = [{"system": "a, b", "mean": 1.5, "difference": None}, {"system": "c", "mean": 2.0, "difference": "0.10"}]
    rows = [["a_b | c", "1.50 ± 0.10 (2) [1.40, +0.10]"], ["100 %", "—"]]
    return Table("Title", ["System", "x & y"], rows, tidy, ["a <note>"], "what it is")


def test_markdown(table):
    assert render(table, "markdown").splitlines() == [
        "**Title**",
        "",
        "| System   | x & y                         |",
        "| -------- | ----------------------------- |",
        r"| a_b \| c | 1.50 ± 0.10 (2) [1.40, +0.10] |",
        "| 100 %    | —                             |",
        "",
        "what it is",
        "",
        "- a <note>",
    ]


def test_latex(table):
    lines = render(table, "latex").splitlines()
    assert r"System & x \& y \\" in lines
    assert r"a\_b | c & 1.50 $\pm$ 0.10 (2) {[}1.40, +0.10] \\" in lines
    assert r"100 \% & --- \\" in lines
    assert r"\caption{Title. what it is. a <note>}" in lines


def test_csv_has_a_line_for_each_figure(table):
    rows = list(csv.DictReader(render(table, "csv").splitlines()))
    assert rows == [
        {"system": "a, b", "mean": "1.5", "difference": ""},
        {"system": "c", "mean": "2.0", "difference": "0.10"},
    ]


def test_html(table):
    text = render(table, "html")
    assert "<tr><th>System</th><th>x &amp; y</th></tr>" in text
    assert "<li>a &lt;note&gt;</li>" in text
