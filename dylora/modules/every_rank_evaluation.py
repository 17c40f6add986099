"""Evaluation at every rank in one pass over the data: what is counted of a batch, and what the figures are."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal, cast

from lightning.pytorch.trainer.states import TrainerFn, TrainerState, TrainerStatus
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from dylora.adapters.active_rank import rank_state
from dylora.adapters.sensitivity import Output
from dylora.modules.all_processes import share_findings
from dylora.modules.outcome_keeper import OutcomeKeeper
from dylora.modules.stacked_ranks import Batch, StackedRanks, rows_of
from dylora.rank_curve.direction import higher_is_better
from dylora.rank_curve.kept import KeptOutcomes, Kind, can_be_kept
from dylora.rank_curve.summary import RankSummary, summarise

Stage = Literal["val", "test"]


class EveryRankEvaluation(StackedRanks):
    """Counts batches at every rank of `eval_ranks`, and logs the metrics of each rank and their summary.

    Attributes:
        monitor: The metric that rank curves, checkpoints and the chosen rank go by.
        outcome_kind: What is kept of each example; None keeps nothing.
        tolerance: How far, relative to the best rank, the chosen rank may lie behind.
        epoch_ranks: The ranks that each validation of a training evaluates.
        metrics: A metric for each rank.
        losses: The mean loss at each rank.
        results: The last evaluation: metric, then rank, then value. Empty before the first.
        outcomes: Each example's outcome at each rank in the last evaluation; None where none are kept.
        await_others: To be called by every process that has evaluated its share, before it gathers what the others
            have; processes that share a backbone help one another until then.
    """

    await_others: Callable[[], None]

    monitor: str
    outcome_kind: Kind | None = None

    @property
    def output_kind(self) -> Output:
        """What `outputs_of` gives: `score` for a regression, else `classes` (logits)."""
        return "score" if self.outcome_kind == "scores" else "classes"

    tolerance: float
    epoch_ranks: tuple[int, ...]
    metrics: nn.ModuleDict
    losses: nn.ModuleDict
    results: dict[str, dict[int, float]]
    outcomes: KeptOutcomes | None
    _keeper: OutcomeKeeper | None
    _asked_ranks: tuple[int, ...]
    _fit: TrainerState | None

    @property
    def eval_ranks(self) -> tuple[int, ...]:
        """The ranks that are evaluated; `epoch_ranks` while a trainer that `evaluate_epoch_ranks` named is fitting."""
        fits = self._fit is not None and self._fit.fn == TrainerFn.FITTING and self._fit.status == TrainerStatus.RUNNING
        return self.epoch_ranks if fits else self._asked_ranks

    @eval_ranks.setter
    def eval_ranks(self, ranks: tuple[int, ...]) -> None:
        self._asked_ranks, self._fit = ranks, None

    @abstractmethod
    def update_metric(self, metric: Metric, outputs: Tensor, batch: Batch, split: int) -> None:
        """Count the outputs of one rank on one batch."""

    def files(self) -> dict[str, list[dict[str, Any]]]:
        """What the last evaluation made besides figures: records for a JSON Lines file each, under the files' names."""
        return {}

    @property
    def higher_is_better(self) -> bool:
        """Whether the monitored metric is better when higher."""
        return higher_is_better(self.monitor)

    def summary(self, metric: str | None = None) -> RankSummary:
        """The last rank curve of a metric (the monitored one, left out) in a few numbers."""
        name = metric or self.monitor
        return summarise(self.results[name], self.tolerance, higher_is_better(name))

    def record(self) -> dict[str, Any]:
        """The last evaluation in plain types, as files have it: every metric at every rank, and the summary."""
        metrics = {name: {str(rank): v for rank, v in values.items()} for name, values in self.results.items()}
        return {**asdict(self.summary()), "metrics": metrics}

    def count(self, batch: Batch, split: int) -> None:
        """Count one batch of an evaluation at every rank of `eval_ranks`.

        Args:
            batch: The batch.
            split: Number of its loader.
        """
        rows = rows_of(batch)
        for rank, loss, outputs in self.outputs_at_ranks(batch):
            self._loss(rank).update(loss, rows)
            self.update_metric(self._metric(rank), outputs, batch, split)
            self.keep_outcomes(rank, outputs, batch, split)

    def keep_outcomes(self, rank: int, outputs: Tensor, batch: Batch, split: int) -> None:
        """Keep what each row of a batch contributes at one rank, where the kind of outcome is known."""
        if not can_be_kept(self.outcome_kind, self.monitor):
            return
        if self._keeper is None:
            self._keeper = OutcomeKeeper(cast(Kind, self.outcome_kind), self.monitor)
        self._keeper.add(rank, outputs, batch, split)

    def take_outcomes(self) -> KeptOutcomes | None:
        """What was kept since the last call, by all processes, which all have to call it."""
        if not can_be_kept(self.outcome_kind, self.monitor):
            return None
        keeper = self._keeper or OutcomeKeeper(cast(Kind, self.outcome_kind), self.monitor)
        self._keeper = None
        return keeper.finish()

    def figures(self, rank: int) -> dict[str, float]:
        """The metrics of one rank over all that was counted, by all processes; counting starts anew."""
        values = {**self._metric(rank).compute(), "loss": float(self._loss(rank).compute())}
        self._metric(rank).reset()
        self._loss(rank).reset()
        return values

    @property
    def validates_every_rank(self) -> bool:
        """Whether each validation of a training evaluates all ranks of the model."""
        return self.epoch_ranks == tuple(rank_state(self.model).config.ranks)

    def evaluate_epoch_ranks(self, fit: TrainerState) -> None:
        """Evaluate `epoch_ranks` until `eval_ranks` is set or the training is over, by its end or by an exception.

        Args:
            fit: The state of the trainer that is fitting.
        """
        self._fit = fit

    def evaluate_every_rank(self) -> None:
        """Evaluate all ranks of the model from here on."""
        self.eval_ranks = tuple(rank_state(self.model).config.ranks)

    def take_results(self) -> None:
        """Set `results` and `outcomes` to what was counted since the last call; all processes have to call it."""
        self.await_others()
        share_findings(rank_state(self.model).row_checks)
        table: dict[str, dict[int, float]] = {}
        for rank in self.eval_ranks:
            for name, value in believable(self.figures(rank)).items():
                table.setdefault(name, {})[rank] = value
        self.results = table
        losses, outcomes = table.get("loss", {}).values(), self.take_outcomes()
        self.outcomes = outcomes if all(math.isfinite(loss) for loss in losses) else None

    def _finish(self, stage: Stage) -> None:
        self.take_results()
        for name, by_rank in self.results.items():
            summary = self.summary(name)
            for rank, value in by_rank.items():
                self._log(f"{stage}/{name}/rank_{rank}", value)
            self._log(f"{stage}/{name}/mean", summary.mean)
            self._log(f"{stage}/{name}/aurac", summary.aurac)
            if stage == "val":  # a rank is chosen on validation data, never on what is reported
                self._log(f"{stage}/{name}/best_rank", _or_nan(summary.best_rank))
                self._log(f"{stage}/{name}/chosen_rank", _or_nan(summary.chosen_rank))

    def _metric(self, rank: int) -> Metric:
        return cast(Metric, self.metrics[str(rank)])

    def _loss(self, rank: int) -> MeanMetric:
        return cast(MeanMetric, self.losses[str(rank)])

    def _log(self, name: str, value: float) -> None:
        self.log(name, value, add_dataloader_idx=False)  # the same in every process already


def believable(figures: Mapping[str, float]) -> dict[str, float]:
    """One rank's metrics; none of them is a number where the loss is not finite, for a class or text came of no logits.

    >>> believable({"accuracy": 0.5, "loss": float("inf")})
    {'accuracy': nan, 'loss': inf}
    """
    if math.isfinite(figures.get("loss", 0.0)):
        return dict(figures)
    return {name: value if name == "loss" else math.nan for name, value in figures.items()}


def _or_nan(rank: int | None) -> float:
    return math.nan if rank is None else float(rank)
