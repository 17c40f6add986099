"""An evaluation of the trained adapter after a cut."""

from contextlib import ExitStack

from lightning.pytorch import Callback, LightningModule, Trainer

from dylora.adapters.cuts import Cut, cut
from dylora.adapters.sensitivity import MOST_BYTES, Sensitivities, statistics_bytes
from dylora.callbacks.calibration import Calibration, calibrate
from dylora.callbacks.learned_order import LearnedOrder, learn_order
from dylora.modules.base import EveryRankModule


class CutAdapter(Callback):
    """Cut the adapter while a validation or a test runs; afterwards it is as it was.

    The checkpoint is loaded by then, so that what is cut is what was trained.

    Args:
        kind: The way; see `dylora.adapters.cuts.cut`.
        examples: Number of training examples that weigh the two-sided cut, and what the learned one begins with; they
            come from the trainer's data.

    Attributes:
        calibration: What the two-sided cut was weighed with; None for another cut, and before it.
        order: How the learned cut was learned; likewise.
    """

    def __init__(self, kind: Cut, examples: int = 1000) -> None:
        self.kind = kind
        self.examples = examples
        self.calibration: Calibration | None = None
        self.order: LearnedOrder | None = None
        self._block = ExitStack()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut."""
        self._begin(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut."""
        self._begin(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore."""
        self._block.close()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore."""
        self._block.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore."""
        self._block.close()

    def sensitivities(self, trainer: Trainer, module: EveryRankModule) -> Sensitivities | None:
        """What weighs the two-sided cut, and where it fits into 1 GiB the learned one, gathered once; else None."""
        fits = self.kind == "learned" and statistics_bytes(module.model) <= MOST_BYTES
        if self.calibration is None and (self.kind == "two-sided" or fits):
            self.calibration = calibrate(trainer, module, self.examples)
        return self.calibration.sensitivities if self.calibration else None

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, EveryRankModule):
            raise TypeError("CutAdapter needs a module with DyLoRA adapters (EveryRankModule)")
        weights = self.sensitivities(trainer, pl_module)
        self._block.enter_context(cut(pl_module.model, self.kind, weights, lambda: self._learn(trainer, pl_module)))

    def _learn(self, trainer: Trainer, module: EveryRankModule) -> None:
        self.order = learn_order(trainer, module)
