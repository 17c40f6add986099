"""The bar over tokenised rows: what it says, and where it is seen."""

import re

import pytest

from dylora.data import progress
from dylora.data.progress import counted, slices


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch):
    monkeypatch.setattr(progress, "_DELAY_SECONDS", 0.0)


def test_it_says_what_is_tokenised_and_how_many_rows(capsys):
    assert [piece.stop - piece.start for piece in slices(2500, counted("rte train", is_shown=True))] == [
        1000,
        1000,
        500,
    ]
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"tokenising rte train: .*0/2500 ", err)


@pytest.mark.parametrize("is_shown", [False, None])  # None: stderr is no terminal here
def test_it_is_silent_where_it_is_not_asked_for(capsys, is_shown):
    assert len(list(slices(2500, counted("rte train", is_shown)))) == 3
    assert capsys.readouterr() == ("", "")


def test_a_moment_needs_no_bar(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_DELAY_SECONDS", 60.0)
    list(slices(2500, counted("rte train", is_shown=True)))
    assert capsys.readouterr().err.strip() == ""
