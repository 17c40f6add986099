"""An evaluation of an adapter whose modules share a budget of ranks."""

from lightning.pytorch import LightningModule, Trainer
from typing_extensions import override

from dylora.adapters.budget import pooled_values, ranks_under_budget, truncated
from dylora.adapters.cuts import Cut
from dylora.callbacks.cut import CutAdapter
from dylora.modules.base import EveryRankModule


class BudgetAdapter(CutAdapter):
    """Cut each module to a rank of its own while a validation or a test runs at `max_rank`.

    The (weighted) singular values of all modules are pooled, and the largest are kept.

    Args:
        kind: `svd`, or `two-sided` to weigh the values by what they are worth to the model.
        mean_rank: Ranks a module in the mean.
        examples: Number of training examples that weigh the two-sided cut.

    Attributes:
        ranks: The rank of each module, once an evaluation has begun.
    """

    def __init__(self, kind: Cut, mean_rank: float, examples: int = 1000) -> None:
        super().__init__(kind, examples)
        self.mean_rank = mean_rank
        self.ranks: dict[str, int] = {}

    @override
    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, EveryRankModule)
        weights = self.sensitivities(trainer, pl_module)
        self.ranks = ranks_under_budget(pooled_values(pl_module.model, weights), self.mean_rank)
        super()._begin(trainer, pl_module)
        self._block.enter_context(truncated(pl_module.model, self.ranks))
