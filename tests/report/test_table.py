"""The text of a cell."""

import pytest

from dylora.report.table import Cell


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), "—"),
        (Cell((1.234,)), "1.23 (1)"),
        (Cell((), "85.59", "0.07"), "— [85.59 ± 0.07]"),
        (Cell((85.586,), "85.59"), "85.59 (1) [85.59, +0.00]"),
        (Cell((87.0,), "87.03", "", (7,), "8"), "87.00 at rank 7 (1) [87.03 at rank 8, -0.03]"),
        (Cell((float("nan"),), "1.00"), "nan (1) [1.00]"),
    ],
)
def test_it_has_what_there_is(cell, text):
    assert cell.text() == text


def test_the_deviation_is_that_of_a_sample():
    assert Cell((1.0, 2.0, 4.0)).std == pytest.approx((7 / 3) ** 0.5)
