"""A signal in the middle of an epoch saves and stops after the step."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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


class _TwoProcesses:
    """A trainer with what the callback asks of it; the other process is never signalled."""

    world_size, max_steps, max_epochs, global_step = 2, -1, 1, 0

    def __init__(self):
        self.asked = []
        progress = SimpleNamespace(is_last_batch=False)
        loop = SimpleNamespace(
            _should_accumulate=lambda: False, batch_progress=progress, _should_check_val_fx=lambda fetcher: False
        )
        self.fit_loop = SimpleNamespace(epoch_loop=loop, _data_fetcher=None)
        self.strategy = self

    def reduce_boolean_decision(self, decision, *, all):
        self.asked.append(self.global_step)
        return decision

    def save_checkpoint(self, path):
        self.saved = self.global_step


def test_several_processes_ask_one_another_at_every_eighth_step_alone(tmp_path):
    trainer, callback = _TwoProcesses(), SaveOnInterrupt(tmp_path / "last.ckpt")
    for trainer.global_step in range(1, 20):
        callback.on_train_batch_end(trainer, None)
    assert trainer.asked == [8, 16]
    callback._receive(signal.SIGINT, None)
    for trainer.global_step in range(20, 24):
        callback.on_train_batch_end(trainer, None)
    trainer.global_step = 24
    with pytest.raises(KeyboardInterrupt):
        callback.on_train_batch_end(trainer, None)
    assert trainer.saved == 24


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_at_the_eighth_step(tmp_path):
    script, path = Path(__file__).with_name("one_is_signalled.py"), tmp_path / "last.ckpt"
    done = subprocess.run([sys.executable, str(script), str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert torch.load(path, weights_only=True)["global_step"] == 8
    asked = [line for line in done.stdout.splitlines() if "asked" in line]
    assert sorted(asked) == [f"{rank} asked after step {step}" for rank in (0, 1) for step in (0, 8)]
