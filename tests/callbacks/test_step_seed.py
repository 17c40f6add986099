"""Randomness as a function of where training stands."""

import torch
from lightning.pytorch import Callback

from dylora.callbacks.step_seed import StepSeed


class Draw(Callback):
    def __init__(self):
        self.drawn = []

    def on_train_batch_start(self, *_):
        self.drawn.append(torch.rand(()).item())


def test_every_batch_draws_its_own_numbers_whatever_was_drawn_before(fit):
    first, second = Draw(), Draw()
    fit(StepSeed(1), first, max_epochs=2)
    torch.rand(1000)
    fit(StepSeed(1), second, max_epochs=2)
    assert first.drawn == second.drawn
    assert len(set(first.drawn)) == 12


def test_another_seed_draws_other_numbers(fit):
    first, second = Draw(), Draw()
    fit(StepSeed(1), first, max_epochs=1)
    fit(StepSeed(2), second, max_epochs=1)
    assert not set(first.drawn) & set(second.drawn)
