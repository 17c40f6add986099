"""Which rank, or ranks, each optimizer step trains."""

from collections.abc import Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from dylora.adapters.active_rank import rank_state
from dylora.adapters.ranks import DistributionName, RankDistribution, RankRange, rank_at
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule


class RankSamplingCallback(Callback):
    """Choose the rank of each optimizer step (Algorithm 1).

    The rank is a function of the seed and the number of the step alone: all processes and all micro-batches of an
    accumulated step share it, and a resumed run goes on with the same sequence.

    Args:
        distribution: Law of the ranks: `uniform` (the paper's default), `geometric`, `weights`, or `max_rank`, which
            trains every step at the largest rank: plain LoRA.
        p: Parameter of the geometric law, inside (0, 1); the paper uses 0.15.
        weights: One non-negative number for each rank, for the distribution `weights`.
        objective: `individual` trains one drawn rank a step; `summation` (nested dropout) trains all ranks at every
            step, each weighted with its probability, at about as many times the cost.
        frozen: Update only row and column `b` of the factors at rank `b` (Algorithm 1, frozen mode). Use it with
            `model.optimizer: row_exact_adamw`; torch's AdamW still moves the other rows by momentum and decay.
        seed: Seed of the sequence of ranks, 0 or larger; taken from `seed_everything` on the command line.
    """

    def __init__(
        self,
        distribution: DistributionName = "uniform",
        p: float = 0.15,
        weights: Sequence[float] | None = None,
        objective: Literal["individual", "summation"] = "individual",
        frozen: bool = False,
        seed: int = 10,
    ) -> None:
        self.distribution = RankDistribution(distribution, p, weights)
        self.objective = objective
        self.frozen = frozen
        self.seed = seed
        if frozen and objective == "summation":
            fix = "use objective: individual with it"
            raise InputError("rank_sampling.frozen", "false with the summation loss", frozen, fix)
        if seed < 0:
            raise InputError("rank_sampling.seed", "0 or larger", seed, "choose another seed")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Bind the law to the ranks of the module's adapter."""
        if not isinstance(pl_module, EveryRankModule):
            raise TypeError("RankSamplingCallback needs a module with DyLoRA adapters (EveryRankModule)")
        self.bind(rank_state(pl_module.model).config.ranks)

    def bind(self, ranks: RankRange) -> None:
        """Choose the ranks to draw from; `setup` does it with the module's.

        Raises:
            InputError: If there are not as many weights as ranks.
        """
        self.ranks = ranks
        self.probabilities = self.distribution.probabilities(ranks)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Choose the ranks of the optimizer step that this batch belongs to."""
        assert isinstance(pl_module, EveryRankModule)
        if self.objective == "summation":
            pl_module.plan_step(tuple(self.ranks), self.probabilities)
            return
        rank = rank_at(self.ranks, self.probabilities, self.seed, trainer.global_step)
        pl_module.plan_step((rank,), (1.0,), self.frozen)
        pl_module.log("train/rank", float(rank))
