"""The bar over tokenised rows: what it says, and where it is seen."""

import re

import pytest

from dylora import progress as bars
from dylora.data import progress
from dylora.data.progress import counted, slices


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch):
    monkeypatch.setattr(progress, "_DELAY_SECONDS", 0.0)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(bars, "is_terminal", lambda: True)


def test_it_says_what_is_tokenised_and_how_many_rows(capsys, terminal):
    assert [piece.stop - piece.start for piece in slices(2500, counted("rte train"))] == [
        1000,
        1000,
        500,
    ]
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"tokenising rte train: .*0/2500 ", out)


def test_other_processes_than_the_first_show_none(capsys, terminal, monkeypatch):
    monkeypatch.setattr(bars, "process_rank", lambda: 1)
    assert len(list(slices(2500, counted("rte train")))) == 3
    assert capsys.readouterr() == ("", "")


def test_it_is_silent_in_a_pipe(capsys):
    assert len(list(slices(2500, counted("rte train")))) == 3
    assert capsys.readouterr() == ("", "")


def test_it_is_silent_where_it_is_not_wanted(capsys, terminal):
    assert len(list(slices(2500, counted("rte train", is_wanted=False)))) == 3
    assert capsys.readouterr() == ("", "")


def test_a_moment_needs_no_bar(capsys, terminal, monkeypatch):
    monkeypatch.setattr(progress, "_DELAY_SECONDS", 60.0)
    list(slices(2500, counted("rte train")))
    assert capsys.readouterr().out.strip() == ""
