"""What all data modules ask of the trainer."""

from lightning.pytorch import LightningDataModule


class TrainerAwareDataModule(LightningDataModule):
    """A data module that knows the trainer's processes and how far an epoch has come; one process without a trainer."""

    def processes(self) -> tuple[int, int]:
        """Number of processes and this one's place."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def batches_done(self) -> int:
        """Batches of this epoch that are trained already, more than none in a resumed run."""
        return 0 if self.trainer is None else self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
