"""The two checkpoints of a run."""

import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from typing_extensions import override

from dylora.processes import process_rank


class BestAndLast(ModelCheckpoint):
    """Keep `best.ckpt`, by the area under the validated rank curve, and `last.ckpt`, of the last epoch or validation.

    A resumed run has a folder of its own; the best checkpoint of the run before is copied into it, so that it is
    complete by itself.

    Args:
        folder: Where the two lie.
        metric: The monitored metric.
        higher_is_better: Its direction.
    """

    def __init__(self, folder: Path, metric: str, higher_is_better: bool = True) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=f"val/{metric}/aurac",
            mode="max" if higher_is_better else "min",
            save_last=True,
            auto_insert_metric_name=False,
        )

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last one, behind every epoch; the best one too, if each epoch is validated once."""
        super().on_train_epoch_end(trainer, pl_module)
        self._save_last(trainer)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save both, if epochs are validated at other times."""
        super().on_validation_end(trainer, pl_module)
        if not self._should_save_on_train_epoch_end(trainer):
            self._save_last(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing: all is saved. Lightning would write a checkpoint of a trial (`fast_dev_run`) here."""

    def _save_last(self, trainer: Trainer) -> None:
        # Lightning alone would leave last.ckpt at the epoch of best.ckpt. It skips what is saved at this step already.
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best checkpoint of the run that is resumed, if it is still there."""
        before = Path(state_dict["best_model_path"] or "-")
        here = Path(str(self.dirpath)) / "best.ckpt"
        score = state_dict["best_model_score"]
        if score is None or not before.is_file():
            return
        if process_rank() == 0 and before.resolve() != here.resolve():
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(before, here)
        path = str(here)
        super().load_state_dict(
            {
                "dirpath": self.dirpath,
                "best_model_path": path,
                "best_model_score": score,
                "kth_best_model_path": path,
                "kth_value": score,
                "best_k_models": {path: score},
                "last_model_path": "",
            }
        )
