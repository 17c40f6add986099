"""The two checkpoints of a run."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from typing_extensions import override

from dylora.processes import process_rank
from dylora.runs.checkpoints import read_checkpoint
from dylora.whole_files import write_whole

BEST = "best.ckpt"


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
        self._resumed_from: Path | None = None

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
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where the checkpoint lies that the run is resumed from."""
        self._resumed_from = Path(trainer.ckpt_path) if trainer.ckpt_path else None

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best checkpoint of the run that is resumed, if it lies beside the one that was read.

        What the state says of paths does not count: a checkpoint from elsewhere could name any file to be copied.
        """
        here, score = Path(str(self.dirpath)) / BEST, state_dict["best_model_score"]
        before = None if self._resumed_from is None else self._resumed_from.with_name(BEST)
        if score is None or before is None or not self._is_best(before, score):
            return
        if process_rank() == 0 and before.resolve() != here.resolve():
            write_whole(here, before.read_bytes())
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

    def _is_best(self, path: Path, score: Tensor) -> bool:
        """Whether a file is the best checkpoint that a later one of the run tells of."""
        if not path.is_file():
            rank_zero_info(f"{path} is not there: the best checkpoint before is left out of the comparison.")
            return False
        of_its_own = read_checkpoint(path).get("callbacks", {}).get(self.state_key, {}).get("best_model_score")
        is_same = isinstance(of_its_own, Tensor) and torch.equal(of_its_own, score)
        if not is_same:
            rank_zero_info(f"{path} is of another run: it is left out of the comparison.")
        return is_same
