"""The weights that a training run ends with are validated, wherever it ends."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override


class ValidateFinalWeights(Callback):
    """Validate at the end of training if the weights moved since the last validation.

    Lightning validates by its schedule alone. It passes the last weights over where `max_steps` or `max_time` ends
    the training inside an epoch, where `check_val_every_n_epoch` does not divide the number of epochs, and where
    `val_check_interval` does not divide an epoch. `last.ckpt` would hold weights that nobody evaluated.

    It acts at the end of the last epoch, before the checkpoints are written, so that they take its figures into
    account. An early stopping that decides at that very moment comes too late for it.
    """

    def __init__(self) -> None:
        self._validated_step = -1

    @override
    def state_dict(self) -> dict[str, Any]:
        """The step of the last validation, so that a resumed run does not repeat it."""
        return {"validated_step": self._validated_step}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the step back."""
        self._validated_step = state_dict["validated_step"]

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note which weights were validated."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._validated_step = trainer.global_step

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate, if this is the end of training and these weights were not validated yet."""
        if not (trainer.enable_validation and ends_here(trainer)) or self._validated_step == trainer.global_step:
            return
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True


def ends_here(trainer: Trainer) -> bool:
    """Whether training ends with the current epoch, which may be cut short."""
    return (
        reaches_max_steps(trainer)
        or trainer.should_stop
        or 0 <= (trainer.max_epochs or -1) <= trainer.current_epoch + 1
    )


def reaches_max_steps(trainer: Trainer) -> bool:
    """Whether the largest number of optimizer steps is done."""
    return 0 <= trainer.max_steps <= trainer.global_step
