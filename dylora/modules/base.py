"""Training at the ranks of a step, evaluation at every rank in one pass over the data."""

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any, Literal, cast

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from transformers import PreTrainedModel
from typing_extensions import override

from dylora.adapters.active_rank import check_rank, rank_state, set_rank, use_rank
from dylora.adapters.calls import uncalled_layers
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.distillation import Distillation, distillation_losses
from dylora.adapters.head import unread_pooler
from dylora.adapters.optim import OptimizerName, linear_warmup
from dylora.adapters.parameters import adapter_state
from dylora.adapters.rank_per_row import may_stack, takes_rank_per_row
from dylora.adapters.running_statistics import trained_buffers
from dylora.adapters.sensitivity import Output
from dylora.backbones.identity import identify
from dylora.errors import InputError
from dylora.methods.adapter import Adapter
from dylora.methods.method import Method
from dylora.modules.all_processes import share_findings, take_from_first
from dylora.modules.from_checkpoint import MODULE, FromCheckpoint
from dylora.modules.outcome_keeper import OutcomeKeeper
from dylora.rank_curve.direction import higher_is_better
from dylora.rank_curve.kept import KeptOutcomes, Kind, can_be_kept
from dylora.rank_curve.summary import RankSummary, summarise
from dylora.runs.checkpoints import KEY, check_identity, identity

Batch = dict[str, Tensor]
Stage = Literal["val", "test"]


class EveryRankModule(FromCheckpoint):
    """Base of the modules: an adapted backbone, trained at the step's ranks and evaluated at all of them.

    A subclass says what the loss and the metrics of a batch are. Without a rank-sampling callback every step trains
    at `max_rank`, which is plain LoRA. A method without adapters has `max_rank` as its only rank.

    Args:
        model: The backbone.
        backbone: Name that the backbone was loaded by.
        task: Name of the task.
        adapter: Shape, scaling and place of the adapters.
        new_parameters: Names of the parameters that the backbone did not bring along, such as those of a task head.
        method: What is trained of the backbone: `Adapter` (DyLoRA, LoRA), `FullFineTuning` (all parameters, no
            adapters) or `FLOP` (factorised low-rank pruning). The last two are evaluated once, as rank
            `adapter.max_rank`.
        optimizer: `adamw` is torch's; `row_exact_adamw` changes only the rows that a step trains (Algorithm 1).
        learning_rate: Peak learning rate, above 0.
        weight_decay: Decoupled weight decay of matrices, 0 or larger.
        warmup_ratio: Share of all steps that warm up linearly, from 0 to 1; linear decay to zero follows.
        warmup_steps: Number of warm-up steps, in the place of the ratio.
        eval_rows: Rows of one evaluation forward, beams included; ranks are stacked along the batch until they are
            reached.
        tolerance: How far, relative to the best rank, the chosen rank may lie behind; 0.01 is 1 %.

    Attributes:
        model: The backbone as the method made it.
        method: What of the backbone is trained; a copy of the argument.
        eval_ranks: The ranks that are evaluated; all of the model's unless set.
        results: The last evaluation: metric, then rank, then value. Empty before the first.
        outcomes: Each example's outcome at each rank in the last evaluation; None where none are kept.
        monitor: The metric that rank curves, checkpoints and the chosen rank go by.
        metric_names: Names of the metrics, besides the loss.
        outcome_kind: What is kept of each example: `classes` where `losses_of` gives logits (rows, classes), `scores`
            where it gives (rows,), `tokens` where it gives (rows, 3) of texts; None keeps nothing.
        output_kind: What `outputs_of` gives: `classes` (logits) or `score` (regression).
        penalty: Gives what is added to the loss of a training step, (); None for nothing.
        distillation: How rows below `max_rank` learn from it; None for not at all.
        task_loss: Loss of the last training step without what is added to it, ().
    """

    monitor: str
    metric_names: tuple[str, ...]
    outcome_kind: Kind | None = None
    output_kind: Output = "classes"
    task_loss: Tensor

    def __init__(
        self,
        model: PreTrainedModel,
        backbone: str,
        task: str,
        adapter: DyLoRAConfig,
        *,
        new_parameters: Sequence[str],
        method: Method = Adapter(),  # noqa: B008 (never changed: each module has a copy)
        optimizer: OptimizerName = "adamw",
        learning_rate: float = 4e-4,
        weight_decay: float = 0.1,
        warmup_ratio: float = 0.06,
        warmup_steps: int | None = None,
        eval_rows: int = 256,
        tolerance: float = 0.01,
    ) -> None:
        super().__init__()
        self._check(learning_rate, weight_decay, eval_rows)
        method.check_optimizer(optimizer)
        self.model, self.method = model, deepcopy(method)
        self.method.prepare(model, adapter)
        without_gradient = {id(parameter) for parameter in unread_pooler(model)}
        for name in new_parameters:  # what the backbone did not bring is at random values: train it
            parameter = self.model.get_parameter(name)
            parameter.requires_grad_(id(parameter) not in without_gradient)
        found = identify(self.model, backbone).as_dict()
        self.identity = identity(task, found, method.computed(adapter), method.name)
        self.method.begin(model)
        self.optimizer_name = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_ratio = warmup_ratio
        self.warmup_steps = warmup_steps
        self.eval_rows = eval_rows
        self.tolerance = tolerance
        self.eval_ranks = tuple(rank_state(model).config.ranks)
        self.results: dict[str, dict[int, float]] = {}
        self.metrics = nn.ModuleDict({str(rank): self.build_metric() for rank in self.eval_ranks})
        self.losses = nn.ModuleDict({str(rank): MeanMetric() for rank in self.eval_ranks})
        self.outcomes: KeptOutcomes | None = None
        self._keeper: OutcomeKeeper | None = None
        self._said = self._said_uncalled = False
        self.penalty: Callable[[], Tensor] | None = None
        self.distillation: Distillation | None = None
        self.plan_step((adapter.max_rank,), (1.0,))
        self._total_steps: float = math.inf  # known once the trainer is
        self.strict_loading = False  # checkpoints leave the backbone out; on_load_checkpoint checks the names

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> list[str]:
        """The names of all buffers, which torch (2.8 to 2.13) leaves alone then.

        It would broadcast them before every forward, which hangs where processes have unequal shards to evaluate.
        """
        return [name for name, _ in self.named_buffers()]

    def build_metric(self) -> Metric:
        """A fresh metric for one rank; its `compute()` gives a dict of floats."""
        raise NotImplementedError

    def losses_of(self, batch: Batch, groups: int) -> tuple[Tensor, Tensor]:
        """Forward a batch that consists of equal consecutive groups of rows.

        Returns:
            The mean loss of each group, (groups,), and the outputs of all rows.
        """
        raise NotImplementedError

    def outputs_of(self, batch: Batch) -> Tensor:
        """Forward a batch and give what its loss looks at: an output for each row, or for each token that counts.

        Distillation and statistics of training examples need it.

        Returns:
            (places, classes) logits or (places,) scores; `output_kind` says which.
        """
        raise InputError("model", "one that gives its outputs (`outputs_of`)", type(self).__name__, "write that method")

    def losses_at(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss at each place of `outputs_of`, (places,), and the row of the batch that it belongs to, (places,)."""
        raise InputError("model", "one that gives the loss of an output (`losses_at`)", type(self).__name__, "write it")

    def update_metric(self, metric: Metric, outputs: Tensor, batch: Batch, split: int) -> None:
        """Count the outputs of one rank on one batch."""
        raise NotImplementedError

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids; empty where there are none."""
        return ()

    @property
    def higher_is_better(self) -> bool:
        """Whether the monitored metric is better when higher."""
        return higher_is_better(self.monitor)

    def plan_step(self, ranks: Sequence[int], weights: Sequence[float], frozen: bool = False) -> None:
        """Choose the ranks of the coming training steps, and the weight of each in the loss.

        One rank is the individual loss; several are the summation loss (nested dropout), run as one stacked batch.
        """
        self._step_ranks = tuple(ranks)
        self._step_weights = tuple(weights)
        self._row_ranks: Tensor | None = None
        if len(ranks) == 1:
            set_rank(self.model, ranks[0], frozen=frozen)

    def plan_rows(self, ranks: Tensor) -> None:
        """Choose a rank for each row of the coming batch; the loss is the mean over the rows (or their tokens).

        Args:
            ranks: (rows,), a LongTensor on the CPU.

        Raises:
            InputError: If the rows of the model's batches are known not to run at ranks of their own.
        """
        self._refuse_shared_rows(takes_rank_per_row(self.model))
        self.plan_step((rank_state(self.model).config.max_rank,), (1.0,))
        self._row_ranks = ranks
        set_rank(self.model, ranks)

    def on_fit_start(self) -> None:
        """Put the backbone's own dropout into training mode, wherever it comes from."""
        check_precision(str(self.trainer.precision))
        self.model.train()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of the step's ranks, weighted, with what the method adds to it."""
        loss = self._task_loss(batch)
        self.task_loss = loss.detach()
        self.log("train/loss", loss, prog_bar=True)
        loss, figures = self.method.training_loss(loss, self.model, self.global_step / self._total_steps)
        for name, value in figures.items():
            self.log(f"train/{name}", value)
        if self.penalty is not None:
            penalty = self.penalty()
            self.log("train/penalty", penalty.detach())
            loss = loss + penalty
        return loss

    @override
    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Give all processes the running statistics of the first, as DDP does where it broadcasts buffers."""
        if self.trainer.world_size > 1:
            take_from_first(trained_buffers(self).values())

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Count one batch at every rank."""
        self.count(batch, dataloader_idx)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Count one batch at every rank."""
        self.count(batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of every rank, and their summary."""
        self._finish("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of every rank, their mean and area; no rank is chosen by them."""
        self._finish("test")

    @override
    def on_train_epoch_end(self) -> None:
        """Name the adapters that the first epoch has not reached."""
        self._say_if_uncalled()

    @override
    def on_validation_end(self) -> None:
        """Name the adapters that neither training nor the first validation has reached."""
        if not self.trainer.sanity_checking:
            self._say_if_uncalled()

    @override
    def on_test_end(self) -> None:
        """Name the adapters that the test has not reached."""
        self._say_if_uncalled()

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
        rows = _rows(batch)
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

    def calibration_outputs(self, batch: Batch) -> Tensor:
        """What the loss of a batch looks at, for the two-sided cut: logits or scores of the rows."""
        return self.losses_of(batch, 1)[1]

    def figures(self, rank: int) -> dict[str, float]:
        """The metrics of one rank over all that was counted, by all processes; counting starts anew."""
        values = {**self._metric(rank).compute(), "loss": float(self._loss(rank).compute())}
        self._metric(rank).reset()
        self._loss(rank).reset()
        return values

    def outputs_at_ranks(self, batch: Batch) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Rank, loss () and outputs (rows, …) of a batch at each of `eval_ranks`, in chunks that fit `eval_rows`."""
        rows = _rows(batch)
        size = max(1, self.eval_rows // rows)
        stacks = may_stack(self.model, "forward", self.eval_ranks[:size], lambda ranks: self._run(batch, ranks)[1])
        self._say_if_refuted()
        for ranks in self._chunks(self.eval_ranks, size if stacks else 1):
            losses, outputs = self._run(batch, ranks)
            yield from zip(ranks, losses, outputs.chunk(len(ranks)), strict=True)

    def outputs_at_own_ranks(self, batch: Batch) -> Tensor:
        """Outputs (rows, …) of a batch whose rows each have a rank of their own: `rank` (rows,), 1-based.

        One forward with one copy of the weights. A model that does not keep the rows of a batch apart runs the rows of
        one rank at a time.

        Raises:
            InputError: If a rank is none that the adapter is trained at.
        """
        ranks, rest = batch["rank"], {key: value for key, value in batch.items() if key != "rank"}
        check_rank(ranks, rank_state(self.model).config.ranks)
        distinct = sorted(set(ranks.tolist()))
        stacks = may_stack(self.model, "forward", distinct, lambda some: self._run(rest, some)[1])
        self._say_if_refuted()
        if stacks:
            with use_rank(self.model, ranks if len(distinct) > 1 else distinct[0]):
                return self.losses_of(rest, 1)[1]
        places = [(ranks == rank).nonzero().flatten() for rank in distinct]
        parts = [
            self._run({key: value[place] for key, value in rest.items()}, [rank])[1]
            for rank, place in zip(distinct, places, strict=True)
        ]
        return torch.cat(parts)[torch.cat(places).argsort()]

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's union is open)
        """The named optimizer with linear warm-up and decay, stepped every optimizer step.

        Raises:
            InputError: If the training has no last step that the learning rate could fall to.
        """
        if math.isinf(self.trainer.estimated_stepping_batches):
            fix = "give the trainer one of them"
            raise InputError("max_epochs or max_steps", "a number, for the learning rate", "neither", fix)
        optimizer = self.method.optimizer(self.optimizer_name, self.model, self.learning_rate, self.weight_decay)
        self._total_steps = int(self.trainer.estimated_stepping_batches)
        schedule = linear_warmup(optimizer, self._total_steps, self.warmup_ratio, self.warmup_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was trained, say what it belongs to, and how this module was made."""
        checkpoint["state_dict"] = adapter_state(self)
        made = {MODULE: self.recipe, "labels": list(self.label_names), **self._facts_of_data()}
        checkpoint[KEY] = {**self.identity, **made}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another task, backbone, method or adapter.

        Raises:
            InputError: Naming both sides of the difference.
        """
        check_identity(checkpoint.get(KEY), self.identity)
        if checkpoint["state_dict"].keys() != adapter_state(self).keys():
            raise InputError("--ckpt_path", "of this model's parameters", "other names", "use the same configuration")

    def _task_loss(self, batch: Batch) -> Tensor:
        """The loss of the step's ranks, (): of one for all rows, of one a row, or of several, weighted."""
        if self._row_ranks is not None:
            self._check_rank_per_row(batch)
        if self.distillation is not None:
            return self._distilled_loss(batch, self.distillation)
        losses = [self._losses_at(batch, ranks) for ranks in self._training_chunks(batch)]
        weights = torch.tensor(self._step_weights, device=self.device)
        return (torch.cat(losses) * weights).sum()

    def _distilled_loss(self, batch: Batch, distillation: Distillation) -> Tensor:
        """The mean over rows (or tokens); those below `max_rank` learn from what it gives for them."""
        max_rank = rank_state(self.model).config.max_rank
        ranks = self._row_ranks if self._row_ranks is not None else torch.tensor(self._step_ranks)
        outputs = self.outputs_of(batch)
        losses, rows = self.losses_at(outputs, batch)
        lower = ranks < max_rank
        if not len(losses) or not lower.any():
            return losses.sum() / max(1, len(losses))
        with torch.no_grad(), use_rank(self.model, max_rank):
            teacher = self.outputs_of(batch)
        shares = (lower * distillation.weight).to(losses).expand(_rows(batch))[rows]
        return torch.lerp(losses, distillation_losses(outputs, teacher, distillation.loss), shares).mean()

    def _check_rank_per_row(self, batch: Batch) -> None:
        """Refuse to go on where a batch shows that its rows do not run at ranks of their own."""
        checks, ranks = rank_state(self.model).row_checks, rank_state(self.model).config.ranks
        if "forward" in checks or len(ranks) == 1:
            return
        may_stack(self.model, "forward", (ranks.min_rank, ranks.max_rank), lambda ranks: self._run(batch, ranks)[1])
        share_findings(checks)
        self._refuse_shared_rows(checks.get("forward", True))

    def _refuse_shared_rows(self, apart: bool) -> None:
        if not apart:
            allowed = "individual or summation for a model that does not keep the rows of a batch apart"
            given = f"a rank for each row of {type(self.model).__name__}"
            raise InputError("rank_sampling.objective", allowed, given, "set it to individual")

    def _facts_of_data(self) -> dict[str, Any]:
        """Where the data cuts its rows and what its prompts are, so that whoever predicts later does the same."""
        data = getattr(self._trainer, "datamodule", None) if self._trainer is not None else None
        return {"limits": dict(getattr(data, "input_limits", {})), "text_form": dict(getattr(data, "text_form", {}))}

    def _losses_at(self, batch: Batch, ranks: Sequence[int]) -> Tensor:
        # A single rank is active already, with its update mode.
        stacked = self._stack(batch, ranks) if len(self._step_ranks) > 1 else batch
        return self.losses_of(stacked, len(ranks))[0]

    def _run(self, batch: Batch, ranks: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Losses (ranks,) and outputs (ranks * rows, ...) of a batch, stacked if there are several ranks."""
        with use_rank(self.model, ranks[0]):
            return self.losses_of(self._stack(batch, ranks), len(ranks))

    def _training_chunks(self, batch: Batch) -> list[Sequence[int]]:
        """The step's ranks as they run together: all stacked where that is right, else one by one."""
        ranks, checks = self._step_ranks, rank_state(self.model).row_checks
        undecided = len(ranks) > 1 and "forward" not in checks and takes_rank_per_row(self.model)
        stacks = may_stack(self.model, "forward", ranks, lambda ranks: self._run(batch, ranks)[1])
        if undecided:  # in the same step for all processes: what is known is the same in all
            share_findings(checks)
            stacks = checks.get("forward", False)
        self._say_if_refuted()
        if not stacks and any(getattr(module, "gradient_checkpointing", False) for module in self.model.modules()):
            allowed = "off for the summation loss of a model that runs at one rank at a time"
            given = f"on for {type(self.model).__name__}"  # its backward would compute all ranks again at the last one
            raise InputError("activation checkpointing", allowed, given, "train at one rank a step")
        return self._chunks(ranks, len(ranks) if stacks else 1)

    def _say_if_refuted(self) -> None:
        """Say once why evaluation takes longer than elsewhere."""
        if not self._said and not all(rank_state(self.model).row_checks.values()):
            self._said = True
            rank_zero_info(
                f"{type(self.model).__name__} runs at one rank at a time: it does not keep the rows of a batch apart, "
                "as several ranks in one batch need."
            )

    @staticmethod
    def _chunks(ranks: Sequence[int], size: int) -> list[Sequence[int]]:
        return [ranks[start : start + size] for start in range(0, len(ranks), size)]

    def _stack(self, batch: Batch, ranks: Sequence[int]) -> Batch:
        """Repeat a batch once for each rank, along dimension 0, and activate a rank for each row."""
        rows = _rows(batch)
        if len(ranks) == 1:
            set_rank(self.model, ranks[0])
            return batch
        set_rank(self.model, torch.tensor(ranks, device=self.device).repeat_interleave(rows))
        return {key: value.repeat(len(ranks), *[1] * (value.dim() - 1)) for key, value in batch.items()}

    def _say_if_uncalled(self) -> None:
        """Say once which adapted layers nothing has reached."""
        names = [] if self._said_uncalled else uncalled_layers(self.model)
        self._said_uncalled = True
        if names:
            rank_zero_info(f"Adapters that no forward has reached, and that learn nothing: {', '.join(names)}.")

    def _finish(self, stage: Stage) -> None:
        share_findings(rank_state(self.model).row_checks)
        self.outcomes = self.take_outcomes()
        table: dict[str, dict[int, float]] = {}
        for rank in self.eval_ranks:
            for name, value in self.figures(rank).items():
                table.setdefault(name, {})[rank] = value
        self.results = table
        for name, by_rank in table.items():
            summary = self.summary(name)
            for rank, value in by_rank.items():
                self._log(f"{stage}/{name}/rank_{rank}", value)
            self._log(f"{stage}/{name}/mean", summary.mean)
            self._log(f"{stage}/{name}/aurac", summary.aurac)
            if stage == "val":  # a rank is chosen on validation data, never on what is reported
                self._log(f"{stage}/{name}/best_rank", float(summary.best_rank))
                self._log(f"{stage}/{name}/chosen_rank", float(summary.chosen_rank))

    def _metric(self, rank: int) -> Metric:
        return cast(Metric, self.metrics[str(rank)])

    def _loss(self, rank: int) -> MeanMetric:
        return cast(MeanMetric, self.losses[str(rank)])

    def _log(self, name: str, value: float) -> None:
        self.log(name, value, add_dataloader_idx=False)  # the same in every process already

    def files(self) -> dict[str, list[dict[str, Any]]]:
        """What the last evaluation made besides figures: records for a JSON Lines file each, under the files' names."""
        return {}

    @staticmethod
    def _check(learning_rate: float, weight_decay: float, eval_rows: int) -> None:
        if not learning_rate > 0:
            raise InputError("model.learning_rate", "above 0", learning_rate, "the paper uses 4e-4")
        if not weight_decay >= 0:
            raise InputError("model.weight_decay", "0 or more", weight_decay, "0 switches it off")
        if eval_rows < 1:
            raise InputError("model.eval_rows", "at least 1", eval_rows, "256 fits most machines")


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def check_precision(precision: str) -> None:
    """Refuse fp16 without fp32 weights behind it, in which the optimizer's moments run out of range and all become NaN.

    Args:
        precision: Lightning's name of it.

    Raises:
        InputError: If training would go wrong in it.
    """
    if precision == "16-true":
        allowed = "one in which training stays finite (fp16 weights become NaN)"
        raise InputError("--trainer.precision", allowed, precision, "set --trainer.precision 16-mixed")
