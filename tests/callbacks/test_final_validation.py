"""Where training ends, the final weights are validated, once."""

import pytest
from lightning.pytorch import Callback

from dylora.callbacks.final_validation import ValidateFinalWeights
from dylora.errors import InputError


class Steps(Callback):
    """The steps at which a validation ended, with the number of the epoch."""

    def __init__(self):
        self.seen = []

    def on_validation_end(self, trainer, module):
        self.seen.append((trainer.current_epoch + 1, trainer.global_step))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_epochs": 2}, [(1, 6), (2, 12)]),
        ({"max_epochs": 5, "max_steps": 9}, [(1, 6), (2, 9)]),
        ({"max_epochs": -1, "max_steps": 4}, [(1, 4)]),
        ({"max_epochs": 2, "max_steps": 12}, [(1, 6), (2, 12)]),
        ({"max_epochs": 3, "check_val_every_n_epoch": 2}, [(2, 12), (3, 18)]),
        ({"max_epochs": 2, "val_check_interval": 4}, [(1, 4), (2, 10), (2, 12)]),
        ({"max_epochs": 1, "val_check_interval": 3}, [(1, 3), (1, 6)]),
        ({"max_epochs": 2, "accumulate_grad_batches": 4, "max_steps": 3}, [(1, 2), (2, 3)]),
        ({"max_epochs": 2, "limit_val_batches": 0, "max_steps": 9}, []),
    ],
)
def test_the_last_step_is_always_validated_and_no_step_twice(fit, options, expected):
    steps = Steps()
    fit(steps, ValidateFinalWeights(), validate=True, **options)
    assert steps.seen == expected


def test_a_run_that_is_stopped_early_is_validated_where_it_stops(fit):
    class Stop(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            trainer.should_stop = trainer.global_step == 2

    steps = Steps()
    fit(steps, Stop(), ValidateFinalWeights(), validate=True, check_val_every_n_epoch=2)
    assert steps.seen == [(1, 2)]


def test_the_model_trains_on_with_its_dropout_after_a_validation(fit, module):
    modes = []

    class Modes(Callback):
        def on_train_end(self, trainer, module):
            modes.append(module.model.training)

    fit(Modes(), ValidateFinalWeights(), validate=True, max_steps=4)
    assert modes == [True]


def test_a_training_without_a_last_step_is_refused(fit):
    with pytest.raises(InputError, match=r"max_epochs or max_steps: must be a number, for the learning rate"):
        fit(max_epochs=-1, max_time="00:00:00:20")
