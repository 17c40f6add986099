"""Which rank, or ranks, each optimizer step trains, and what else makes an adapter good at every rank."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from dylora.adapters.active_rank import rank_state
from dylora.adapters.compensation import reach, scale_steps, step_factors
from dylora.adapters.distillation import Distillation
from dylora.adapters.mixed_ranks import mixed_ranks
from dylora.adapters.ordered_decay import decay_after_steps, ordered_penalty
from dylora.adapters.ranks import DistributionName, RankDistribution, RankRange, rank_at
from dylora.callbacks import recipes
from dylora.callbacks.check_recipe import check_options, check_recipe
from dylora.callbacks.ordered_decay import LossScale, OrderedDecay
from dylora.callbacks.recipes import Recipe, check_name
from dylora.callbacks.sort_and_polish import Objective, SortAndPolish, sort_in_training
from dylora.modules.base import EveryRankModule


class RankSamplingCallback(Callback):
    """Choose the rank of each optimizer step (Algorithm 1), and what else is done for the lower ranks.

    The rank is a function of the seed and the number of the step alone: all processes and all micro-batches of an
    accumulated step share it, and a resumed run goes on with the same sequence. Where every row has a rank of its own,
    it is a function of the row's place in the global batch too.

    Args:
        recipe: What the options below are where nothing is said of them. `sorted`: the largest rank alone,
            its components sorted when training ends. `dylora`: one drawn rank a step, the paper's Algorithm 1. `lora`:
            the largest rank alone.
        distribution: Law of the ranks: `uniform` (the paper's), `geometric`, `weights`, or `max_rank`, the largest rank
            at every step. Null takes that of the recipe: `max_rank` for `lora`, else `uniform`; under `sorted` it is
            that of the steps behind a sort before the end.
        p: Parameter of the geometric law, inside (0, 1); the paper uses 0.15.
        weights: One non-negative number for each rank, for the distribution `weights`.
        objective: `individual` trains one drawn rank a step; `summation` (nested dropout) trains all ranks at every
            step, each weighted with its probability, at about as many times the cost. `mixed` gives every row of the
            batch a rank of its own, stratified over the law: the expected gradient of `summation` for one forward.
            `half_batch` likewise with every second row at the largest rank.
        frozen: Update only row and column `b` of the factors at rank `b` (Algorithm 1, frozen mode). Use it with
            `model.optimizer: row_exact_adamw`; torch's AdamW still moves the other rows by momentum and decay.
        seed: Seed of the sequence of ranks, 0 or larger; taken from `seed_everything` on the command line.
        ordered_decay: A decay that rises with the row.
        polish: Sort the components in the middle of training, then train lower ranks.
        distillation: Lower ranks learn from the largest one.
        compensation: Largest factor of the step size of rows that few ranks train, 1 or larger: row j takes steps that
            are `1 / P(b >= j)` times as long, at most this; 1 switches it off.
    """

    def __init__(
        self,
        recipe: Recipe = "sorted",
        distribution: DistributionName | None = None,
        p: float = 0.15,
        weights: Sequence[float] | None = None,
        objective: Objective = "individual",
        frozen: bool = False,
        seed: int = 10,
        ordered_decay: OrderedDecay = OrderedDecay(),  # noqa: B008 (frozen, as those below)
        polish: SortAndPolish = SortAndPolish(),  # noqa: B008
        distillation: Distillation = Distillation(),  # noqa: B008
        compensation: float = 1.0,
    ) -> None:
        check_name(recipe)
        self.recipe = recipe
        self.distribution = RankDistribution(recipes.distribution(recipe, distribution), p, weights)
        self.objective = objective
        self.frozen = frozen
        self.seed = seed
        self.ordered_decay = ordered_decay
        self.polish, self._polish_without_recipe = recipes.polish(recipe, polish), polish
        self.distillation = distillation
        self.compensation = compensation
        check_options(self)
        self._scale = LossScale()
        self._sorted_step: int | None = None
        self._step = self._rows_before = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Bind the law to the ranks of the module's adapter.

        Raises:
            InputError: If the module cannot be trained so.
        """
        if not isinstance(pl_module, EveryRankModule):
            raise TypeError("RankSamplingCallback needs a module with DyLoRA adapters (EveryRankModule)")
        if stage == "fit":
            self.bind_to(pl_module)
        else:
            self.bind(rank_state(pl_module.model).config.ranks)

    def bind_to(self, module: EveryRankModule) -> None:
        """Prepare to train a module. Without adapters, or at a single rank, the recipe `sorted` has nothing to sort.

        Raises:
            InputError: If the module cannot be trained so.
        """
        self.bind(rank_state(module.model).config.ranks)
        if not module.method.has_adapters or len(self.ranks) == 1:
            self.polish = self._polish_without_recipe
        check_recipe(self, module)

    def bind(self, ranks: RankRange) -> None:
        """Choose the ranks to draw from; `setup` does it with the module's.

        Raises:
            InputError: If there are not as many weights as ranks.
        """
        self.ranks = ranks
        self.probabilities = self.distribution.probabilities(ranks)

    @property
    def sorts_at_the_end(self) -> bool:
        """Whether training ends with a sort by what the lower ranks are worth, and not by singular value alone."""
        return self.polish.sort_at == 1 and self.polish.sort_by != "svd"

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know: the scale of the loss, and whether the adapter was sorted."""
        state: dict[str, Any] = {}
        if self.ordered_decay.in_loss:
            state |= {"loss_total": self._scale.total, "losses": self._scale.count}
        return state | ({"sorted_step": self._sorted_step} if self.polish.sort_at is not None else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back; a run that was not trained so begins with it."""
        self._scale.total, self._scale.count = state_dict.get("loss_total", 0.0), state_dict.get("losses", 0)
        self._sorted_step = state_dict.get("sorted_step", 0 if state_dict.get("sorted") else None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell module and optimizer of what belongs to them."""
        assert isinstance(pl_module, EveryRankModule)
        model, decay = pl_module.model, self.ordered_decay
        self._sort_step = self.polish.step(trainer.estimated_stepping_batches)
        pl_module.distillation = self.distillation if self.distillation.weight else None
        if decay.in_loss:
            pl_module.penalty = lambda: ordered_penalty(model, decay.shape) * (decay.in_loss * self._scale.value)
        state = rank_state(model)
        row_exact = pl_module.optimizer_name == "row_exact_adamw"
        for optimizer in trainer.optimizers:
            if self.compensation > 1:
                scale_steps(optimizer, self._step_factors)
            if decay.decoupled:
                updated = (lambda: state.updated_rows) if row_exact else None
                decay_after_steps(optimizer, decay.decoupled, decay.shape, updated)

        if self.polish.sort_at == 1 and self._sorted_step != self._sort_step:
            self._sorted_step = None  # resumed for more steps
            if trainer.global_step > 0:  # it may have been stopped behind the last one
                self._sort_at_the_end(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:  # noqa: ANN401
        """Sort behind the last step, before the validation that may follow."""
        assert isinstance(pl_module, EveryRankModule)
        self._sort_at_the_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave nothing in the module."""
        assert isinstance(pl_module, EveryRankModule)
        pl_module.penalty = pl_module.distillation = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Choose the ranks of the optimizer step that this batch belongs to."""
        assert isinstance(pl_module, EveryRankModule)
        self._step = trainer.global_step
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._rows_before = 0
            self._scale.begin_step()
            self._sort_if_due(trainer, pl_module)
        objective = self._objective()
        if objective == "summation":
            pl_module.plan_step(tuple(self.ranks), self.probabilities)
            return
        if objective in ("mixed", "half_batch") and len(self.ranks) > 1:
            ranks = self._ranks_of_rows(trainer, batch, half_batch=objective == "half_batch")
            pl_module.plan_rows(ranks)
            pl_module.log("train/rank", ranks.double().mean().float())
            return
        rank = self.ranks.max_rank
        if objective == "individual":
            rank = rank_at(self.ranks, self.probabilities, self.seed, self._step)
        pl_module.plan_step((rank,), (1.0,), self.frozen)
        pl_module.log("train/rank", float(rank))

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the scale of the loss over the first steps, before any callback may save the end of the batch."""
        assert isinstance(pl_module, EveryRankModule)
        if self.ordered_decay.in_loss and self._scale.wants(self._step):
            loss = trainer.strategy.reduce(pl_module.task_loss.float(), reduce_op="mean")
            self._scale.add(float(loss))

    def _objective(self) -> Objective | None:
        """That of the current step; None before the sort, where all is at `max_rank`."""
        if self.polish.sort_at is None:
            return self.objective
        return None if self._sorted_step is None else self.polish.objective

    def _sort_if_due(self, trainer: Trainer, module: EveryRankModule) -> None:
        if self._sort_step is not None and self._sorted_step is None and self._step >= self._sort_step:
            sort_in_training(trainer, module, self.polish, self.seed)
            self._sorted_step = self._sort_step

    def _sort_at_the_end(self, trainer: Trainer, module: EveryRankModule) -> None:
        self._step = trainer.global_step
        if self.polish.sort_at == 1:
            self._sort_if_due(trainer, module)

    def _ranks_of_rows(self, trainer: Trainer, batch: Any, *, half_batch: bool) -> Tensor:  # noqa: ANN401
        """The ranks of this process's rows; the processes take turns in the order of the data, as samplers do."""
        rows = len(next(iter(batch.values())))
        places = (self._rows_before + torch.arange(rows)) * trainer.world_size + trainer.global_rank
        self._rows_before += rows
        return mixed_ranks(self.ranks, self.probabilities, self.seed, self._step, places, half_batch)

    def _step_factors(self) -> Tensor:
        """What the step size of each row is multiplied with in the current step."""
        shares, objective = reach(self.ranks, self.probabilities), self._objective()
        if objective is None:
            shares = torch.ones_like(shares)
        elif objective == "half_batch":
            shares = (1 + shares) / 2
        return step_factors(shares, self.compensation)
