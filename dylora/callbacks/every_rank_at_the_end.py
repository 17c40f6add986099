"""Every rank is evaluated when training ends, where its validations evaluated a few."""

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from dylora.callbacks.rank_curves import RankCurves
from dylora.callbacks.validate_again import best_weights, evaluating, validation_batches, weights_of
from dylora.modules.base import EveryRankModule

_NEVER = -1


class EveryRankAtTheEnd(Callback):
    """Evaluate the best and the last weights at every rank of a module whose `epoch_ranks` are not all.

    Their records and outcomes in the run's folder are of every rank then; which epoch is the best stays as it was
    decided by `epoch_ranks`. On the dashboards the other ranks get one point, that of the last weights. Without
    checkpoints the best weights are gone, and their record stays as it is.

    The last weights are evaluated if they were validated, for which `ValidateFinalWeights` sees. Without it training
    may end with weights that have no record; then the last record stays of a few ranks, unless it is the best one.

    It has to stand before `RankCurves` among the callbacks.

    Args:
        curves: Of the same run; has the history.
    """

    def __init__(self, curves: RankCurves) -> None:
        self.curves = curves

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate, the last weights at last, so that the module has their figures."""
        if not isinstance(pl_module, EveryRankModule) or pl_module.validates_every_rank:
            return
        pl_module.evaluate_every_rank()
        best, last = trainer.strategy.broadcast(self._steps())
        is_elsewhere = best not in (trainer.global_step, _NEVER)
        weights = best_weights(self.curves.folder) if trainer.is_global_zero and is_elsewhere else None
        weights = trainer.strategy.broadcast(weights)
        with evaluating(pl_module):
            if weights is not None:
                with weights_of(pl_module, weights):
                    self._evaluate(trainer, pl_module, best)
            if last == trainer.global_step:
                self._evaluate(trainer, pl_module, last)
                self._log_others(trainer, pl_module)

    def _steps(self) -> tuple[int, int]:
        """The steps of the best and the last validation; `_NEVER` where there was none. Known to the first process."""
        history = self.curves.history
        return (self.curves.best["step"], history[-1]["step"]) if history else (_NEVER, _NEVER)

    def _evaluate(self, trainer: Trainer, module: EveryRankModule, step: int) -> None:
        module.on_validation_epoch_start()
        for split, batch in validation_batches(trainer, module, "Evaluating every rank"):
            module.count(batch, split)
        module.take_results()
        self.curves.complete(step, module)

    def _log_others(self, trainer: Trainer, module: EveryRankModule) -> None:
        others = {
            f"val/{name}/rank_{rank}": value
            for name, values in module.results.items()
            for rank, value in values.items()
            if rank not in module.epoch_ranks
        }
        for logger in trainer.loggers:
            logger.log_metrics(others, step=trainer.global_step)
