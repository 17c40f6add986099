"""One bar over all of training, one over an evaluation; the table is printed whether there is a bar or not."""

import io
import sys

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.utils.data import DataLoader

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


class Writer(LightningModule):
    """Two batches of prompts, each written in three forwards."""

    def __init__(self):
        super().__init__()
        self.model = torch.nn.Linear(1, 1)

    def most_forwards(self, batch):
        return 3

    def test_step(self, batch):
        for _ in range(3):
            self.model(batch["input_ids"])
            self.shown.append(self.bar.test_progress_bar.n)


def test_a_bar_moves_with_every_token_and_has_its_own_format_again_afterwards(on_terminal):
    on_terminal()
    bar, module = ProgressBar(), Writer()
    module.bar, module.shown = bar, []
    formats = []

    class Formats(Callback):
        def on_test_batch_end(self, *_):
            formats.append(bar.test_progress_bar.bar_format)

    loader = DataLoader([{"input_ids": torch.ones(1)}] * 2)
    trainer = Trainer(logger=False, accelerator="cpu", callbacks=[bar, Formats()], enable_model_summary=False)
    trainer.test(module, loader, verbose=False)
    assert [round(n, 2) for n in module.shown] == [0.33, 0.67, 0.99, 1.33, 1.67, 1.99]
    assert formats[-1] == ProgressBar.BAR_FORMAT


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
