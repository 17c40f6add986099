"""A signal in the middle of an epoch saves and stops after the step."""

import os
import signal

import pytest
import torch
from lightning.pytorch import Callback

from dylora.callbacks.interrupt import SaveOnInterrupt


class SignalAt(Callback):
    def __init__(self, batch, number):
        self.batch, self.number = batch, number

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == self.batch:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_after_the_step_and_gives_the_handlers_back(fit, tmp_path, number):
    before = signal.getsignal(number)
    path = tmp_path / "last.ckpt"
    with pytest.raises(SystemExit):
        fit(SaveOnInterrupt(path), SignalAt(2, number))
    assert torch.load(path, weights_only=True)["global_step"] == 6 + 3
    assert signal.getsignal(number) is before


def test_it_waits_for_the_end_of_an_accumulated_step(fit, tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(SystemExit):
        fit(SaveOnInterrupt(path), SignalAt(2, signal.SIGINT), accumulate_grad_batches=2)
    assert torch.load(path, weights_only=True)["global_step"] == 3 + 2


def test_behind_the_last_step_of_an_epoch_it_stops_at_the_start_of_the_next(fit, module, tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(SystemExit):
        fit(SaveOnInterrupt(path), SignalAt(5, signal.SIGINT), max_epochs=3)
    assert len(module.seen) == 12
    assert not path.exists()


def test_without_a_signal_nothing_is_written(fit, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    fit(SaveOnInterrupt(tmp_path / "last.ckpt"))
    assert not (tmp_path / "last.ckpt").exists()
    assert signal.getsignal(signal.SIGINT) is before
