"""Colours and bars are there on a terminal, and nothing of them is in a pipe."""

import io
import sys

import pytest

from dylora.cli.plain_parser import fail
from dylora.processes import say
from dylora.progress import with_bar
from dylora.rank_curve.summary import summarise
from dylora.rank_curve.table import marked_row, table_header, table_row
from dylora.terminal import StateLine, painted

VALUES = {1: 0.5, 2: 0.75, 4: 0.75}
ROW = table_row("epoch 1", VALUES, summarise(VALUES))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Have both streams written to a terminal from when it is called; within the test, for pytest sets them, too."""

    def begin():
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "40")
        return stream

    return begin


def test_a_pipe_gets_the_text_as_it_is(capsys):
    assert painted("error", "bold red") == "error"
    assert marked_row(ROW, [1, 2, 4], 2) == ROW
    assert list(with_bar(range(3), 3, "Counting")) == [0, 1, 2]
    with pytest.raises(SystemExit):
        fail("--rank: wrong")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "dylora: error: --rank: wrong\n")


def test_a_terminal_gets_the_chosen_ranks_figure_in_colour(on_terminal):
    on_terminal()
    figure = ROW[12 + 8 : 12 + 16]
    assert marked_row(ROW, [1, 2, 4], 2) == ROW.replace(figure, f"\x1b[1;32m{figure}\x1b[0m", 1)
    assert marked_row(ROW, [1, 2, 4], None) == ROW
    long = table_header("accuracy", [1, 2, 4])
    assert painted(long, "bold") == f"\x1b[1m{long}\x1b[0m"  # longer than the terminal is wide, yet one line


def test_the_first_word_of_an_error_is_red(on_terminal):
    terminal = on_terminal()
    with pytest.raises(SystemExit):
        fail("--rank: wrong")
    assert terminal.getvalue() == "\x1b[1;31mdylora: error:\x1b[0m --rank: wrong\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_where_none_is_wanted(name, value, on_terminal, monkeypatch):
    on_terminal()
    monkeypatch.setenv(name, value)
    assert "\x1b[1;32m" not in painted("error", "bold green")
    assert "error" in painted("error", "bold green")


def test_a_bar_goes_when_its_items_end_or_are_left(on_terminal):
    terminal = on_terminal()
    assert list(with_bar("abc", 3, "Reading")) == ["a", "b", "c"]
    assert "Reading" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")
    assert set(terminal.getvalue().split("\r")[-2]) <= {" "}
    left = with_bar("abc", None, "Leaving")
    next(left)
    left.close()
    assert terminal.getvalue().endswith("\r")


def test_no_bar_where_the_user_wants_none(on_terminal):
    terminal = on_terminal()
    assert list(with_bar("abc", 3, "Reading", is_wanted=False)) == ["a", "b", "c"]
    assert terminal.getvalue() == ""


def test_what_is_said_meanwhile_stands_above_the_bar(on_terminal):
    terminal = on_terminal()
    for _ in with_bar("a", 1, "Reading"):
        say("a note")
    before = terminal.getvalue().partition("a note\n")[0]
    assert set(before.split("\r")[-2]) <= {" "}  # the bar was taken away


def test_a_line_of_state_is_written_over(on_terminal):
    terminal = on_terminal()
    line = StateLine(terminal)
    line.show("one")
    line.show("")
    assert terminal.getvalue() == "\r\x1b[K\x1b[2mone\x1b[0m\r\x1b[K"
