"""One bar over all of training, one over an evaluation; the table is printed whether there is a bar or not."""

import io
import sys

import pytest
from lightning.pytorch.callbacks import TQDMProgressBar

from dylora.callbacks.progress_bar import ProgressBar, with_trainers_bar
from dylora.callbacks.rank_curves import RankCurves


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Have the output written to a terminal from when it is called; within the test, for pytest sets it, too."""

    def begin():
        monkeypatch.setattr(sys, "stdout", Terminal())
        monkeypatch.setenv("COLUMNS", "100")
        return sys.stdout

    return begin


def _rows(text):
    return [line for line in text.replace("\r", "\n").split("\n") if line.startswith("epoch ")]


def test_a_terminal_shows_the_whole_training_and_the_ranks_of_an_evaluation(on_terminal, fit, tmp_path):
    terminal = on_terminal()
    fit(ProgressBar(), RankCurves(tmp_path, {}), validate=True, enable_progress_bar=True)
    shown = terminal.getvalue()
    assert "Training, epoch 2/2" in shown
    assert " 12/12 [" in shown  # two epochs of six batches
    assert "Validation, 4 ranks" in shown
    assert "it/s" in shown
    assert len(_rows(shown)) == 2
    assert not shown.split("\r")[-1].strip()  # nothing of the bars stays


@pytest.mark.parametrize("bar", [ProgressBar, lambda: TQDMProgressBar(refresh_rate=0)])
def test_without_a_bar_the_table_is_printed_all_the_same(bar, fit, tmp_path, capsys):
    fit(bar(), RankCurves(tmp_path, {}), validate=True, enable_progress_bar=True)
    printed = capsys.readouterr().out
    assert len(_rows(printed)) == 2
    assert printed.startswith("accuracy ")
    assert "\r" not in printed
    assert len(printed.splitlines()) == 3


def test_what_learns_the_order_has_a_bar_where_training_has_one(on_terminal, fit):
    terminal = on_terminal()
    trainer = fit(ProgressBar(), enable_progress_bar=True)
    terminal.truncate(0)
    assert list(with_trainers_bar(trainer, "ab", 2, "Weighing")) == ["a", "b"]
    assert "Weighing" in terminal.getvalue()
    terminal.truncate(0)
    trainer = fit(enable_progress_bar=False)
    assert list(with_trainers_bar(trainer, "ab", 2, "Weighing")) == ["a", "b"]
    assert "Weighing" not in terminal.getvalue()
