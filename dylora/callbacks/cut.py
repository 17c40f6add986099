"""An evaluation of the trained adapter after a cut."""

from contextlib import ExitStack

from lightning.pytorch import Callback, LightningModule, Trainer

from dylora.adapters.cuts import Cut, cut
from dylora.modules.base import EveryRankModule


class CutAdapter(Callback):
    """Cut the adapter while a validation or a test runs; afterwards it is as it was.

    The checkpoint is loaded by then, so that what is cut is what was trained.

    Args:
        kind: The way; see `dylora.adapters.cuts.cut`.
    """

    def __init__(self, kind: Cut) -> None:
        self.kind = kind
        self._block = ExitStack()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut."""
        self._begin(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut."""
        self._begin(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore."""
        self._block.close()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore."""
        self._block.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore."""
        self._block.close()

    def _begin(self, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, EveryRankModule):
            raise TypeError("CutAdapter needs a module with DyLoRA adapters (EveryRankModule)")
        self._block.enter_context(cut(pl_module.model, self.kind))
