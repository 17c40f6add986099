"""The modules' base: an adapted backbone in Lightning's loop, with its optimizer and checkpoints."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from transformers import PreTrainedModel
from typing_extensions import override

from dylora.adapters.active_rank import rank_state
from dylora.adapters.calls import uncalled_layers
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.head import unread_pooler
from dylora.adapters.optim import OptimizerName, check_warmup, linear_warmup
from dylora.adapters.parameters import adapter_state
from dylora.adapters.rank_spec import parse_ranks
from dylora.adapters.running_statistics import trained_buffers
from dylora.backbones.dtype import check_precision_of, train_in_fp32
from dylora.backbones.identity import identify
from dylora.backbones.load import say_replaced_head
from dylora.errors import InputError, check_at_least
from dylora.methods.adapter import Adapter
from dylora.methods.method import Method
from dylora.modules.activation_checkpointing import checkpoint_activations
from dylora.modules.all_processes import relative_share, take_from_first
from dylora.modules.compiled import compile_backbone
from dylora.modules.every_rank_evaluation import EveryRankEvaluation
from dylora.modules.from_checkpoint import MODULE, FromCheckpoint
from dylora.modules.stacked_ranks import Batch
from dylora.modules.step_losses import StepLosses
from dylora.runs.checkpoints import KEY, check_identity, identity
from dylora.runs.moments import check_moments


class EveryRankModule(StepLosses, EveryRankEvaluation, FromCheckpoint):
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
        learning_rate: Peak learning rate, above 0 and at most 100.
        weight_decay: Decoupled weight decay of matrices, from 0 to 1000.
        warmup_ratio: Share of all steps that warm up linearly, from 0 to 1; linear decay to zero follows.
        warmup_steps: Number of warm-up steps, in the place of the ratio.
        eval_rows: Rows of one evaluation forward, beams included; ranks are stacked along the batch until they are
            reached, or fewer where more would be slower: on a CPU up to 1,024 tokens.
        epoch_ranks: Ranks that each validation of a training evaluates, as `1,4,8` or `all`. The best epoch is the one
            of the best area under the curve through them; when training ends, the best and the last weights are
            evaluated at every rank.
        tolerance: How far, relative to the best rank, the chosen rank may lie behind, from 0 to 1; 0.01 is 1 %.
        compile: Compile the backbone (`torch.compile`), one graph for all ranks: the first step takes a minute, the
            others less time.
        gradient_checkpointing: Keep the inputs of the layers alone for the backward pass, which computes the rest
            again: less memory, about a third more time.

    Attributes:
        model: The backbone as the method made it.
        method: What of the backbone is trained; a copy of the argument.
        eval_ranks: The ranks that are evaluated; all of the model's unless set, `epoch_ranks` while it is trained.
        epoch_ranks: The ranks that each validation of a training evaluates.
        results: The last evaluation: metric, then rank, then value. Empty before the first.
        outcomes: Each example's outcome at each rank in the last evaluation; None where none are kept.
        monitor: The metric that rank curves, checkpoints and the chosen rank go by.
        metric_names: Names of the metrics, besides the loss.
        outcome_kind: What is kept of each example: `classes` where `losses_of` gives logits (rows, classes), `scores`
            where it gives (rows,), `tokens` where it gives (rows, 3) of texts; None keeps nothing.
        penalty: Gives what is added to the loss of a training step, (); None for nothing.
        distillation: How rows below `max_rank` learn from it; None for not at all.
        task_loss: Loss of the last training step without what is added to it, (); its mean over the processes is that
            of the whole batch.
    """

    metric_names: tuple[str, ...]
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
        epoch_ranks: str | int = "all",
        tolerance: float = 0.01,
        compile: bool = False,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        _check_rates(learning_rate, weight_decay, tolerance)
        check_warmup(warmup_ratio, warmup_steps)
        check_at_least("model", 1, eval_rows=eval_rows)
        method.check_optimizer(optimizer)
        method.check_dtype(model.dtype)
        self.model, self.method = model, deepcopy(method)
        self.method.prepare(model, adapter)
        without_gradient = {id(parameter) for parameter in unread_pooler(model)}
        for name in new_parameters:  # what the backbone did not bring is at random values: train it
            parameter = self.model.get_parameter(name)
            parameter.requires_grad_(id(parameter) not in without_gradient)
        train_in_fp32(model)
        found = identify(self.model, backbone).as_dict()
        self.identity = identity(task, found, method.computed(adapter), method.name)
        self.method.begin(model)
        if compile:
            compile_backbone(model)
        if gradient_checkpointing:
            checkpoint_activations(model)
        self.optimizer_name = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_ratio = warmup_ratio
        self.warmup_steps = warmup_steps
        self.eval_rows = eval_rows
        self.tolerance = tolerance
        self.eval_ranks = tuple(rank_state(model).config.ranks)
        self.epoch_ranks = parse_ranks(str(epoch_ranks), rank_state(model).config.ranks, "model.epoch_ranks")
        self.results = {}
        self.metrics = nn.ModuleDict({str(rank): self.build_metric() for rank in self.eval_ranks})
        self.losses = nn.ModuleDict({str(rank): MeanMetric(nan_strategy="disable") for rank in self.eval_ranks})
        self.outcomes = None
        self._keeper = None
        self._said = self._said_uncalled = False
        self._prefix, self._shares_prefix = None, None
        self.penalty: Callable[[], Tensor] | None = None
        self.distillation = None
        self.await_others = _go_on
        self.plan_step((adapter.max_rank,), (1.0,))
        self._total_steps: float = math.inf  # known once the trainer is
        self.strict_loading = False  # checkpoints leave the backbone out; on_load_checkpoint checks the names

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> list[str]:
        """The names of all buffers, and of parameters that are spread over the processes.

        Torch (2.8 to 2.13) leaves them alone then. It would broadcast buffers before every forward, which hangs where
        processes have unequal shards to evaluate.
        """
        from torch.distributed.tensor import DTensor  # loads a part of torch that one process does without

        spread = [name for name, parameter in self.named_parameters() if isinstance(parameter, DTensor)]
        return [name for name, _ in self.named_buffers()] + spread

    def build_metric(self) -> Metric:
        """A fresh metric for one rank; its `compute()` gives a dict of floats."""
        raise NotImplementedError

    def losses_of(self, batch: Batch, groups: int) -> tuple[Tensor, Tensor]:
        """Forward a batch that consists of equal consecutive groups of rows.

        Returns:
            The mean loss of each group, (groups,), and the outputs of all rows.
        """
        raise NotImplementedError

    def update_metric(self, metric: Metric, outputs: Tensor, batch: Batch, split: int) -> None:
        """Count the outputs of one rank on one batch."""
        raise NotImplementedError

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids; empty where there are none."""
        return ()

    @override
    def setup(self, stage: str) -> None:
        """Refuse data whose tokens the model has no vectors for, and a precision that does not fit the backbone's type.

        The precision is looked at here, before Lightning gives the model its type.
        """
        super().setup(stage)
        check_precision_of(self.model, str(self.trainer.precision))
        tokenizer = getattr(self._datamodule(), "tokenizer", None)
        vectors = getattr(self.model.get_input_embeddings(), "num_embeddings", None)
        if tokenizer is not None and vectors is not None and len(tokenizer) > vectors:
            given = f"{len(tokenizer)} of them in {self.identity['backbone']['name']!r}"
            fix = "use the tokenizer and the config.json that belong to the weights"
            raise InputError("model.backbone", f"a tokenizer of at most {vectors} tokens", given, fix)

    def on_fit_start(self) -> None:
        """Put the backbone's own dropout into training mode, wherever it comes from, and say which head is new.

        What is validated from here on are `epoch_ranks`.
        """
        check_precision(str(self.trainer.precision))
        if self.trainer.ckpt_path is None:
            say_replaced_head(self.model, str(self.identity["backbone"]["name"]))
        self.model.train()
        self.evaluate_epoch_ranks(self.trainer.state)

    @override
    def on_train_end(self) -> None:
        """Evaluate every rank from here on."""
        self.evaluate_every_rank()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of the step's ranks, weighted, with what the method adds to it."""
        loss = self._task_loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        if (places := self.loss_places(batch)) is not None:  # DDP takes the mean over processes, whatever they hold
            loss = loss * relative_share(places).to(loss)
        self.task_loss = loss.detach()
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

    @override
    def outputs_of(self, batch: Batch) -> Tensor:
        """Logits or scores of the rows, as `losses_of` gives them where `outcome_kind` says that it does."""
        return self.losses_of(batch, 1)[1] if self.outcome_kind in ("classes", "scores") else super().outputs_of(batch)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's union is open)
        """The named optimizer with linear warm-up and decay, stepped every optimizer step.

        Raises:
            InputError: If the training has no last step that the learning rate could fall to.
        """
        if math.isinf(self.trainer.estimated_stepping_batches):
            fix = "give the trainer one of them"
            raise InputError("max_epochs or max_steps", "a number, for the learning rate", "neither", fix)
        optimizer = self.method.optimizer(self.optimizer_name, self.model, self.learning_rate, self.weight_decay)
        optimizer.register_load_state_dict_pre_hook(check_moments)
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

    def _facts_of_data(self) -> dict[str, Any]:
        """Where the data cuts its rows and what its prompts are, so that whoever predicts later does the same."""
        data = self._datamodule()
        return {"limits": dict(getattr(data, "input_limits", {})), "text_form": dict(getattr(data, "text_form", {}))}

    def _datamodule(self) -> object:
        return getattr(self._trainer, "datamodule", None) if self._trainer is not None else None

    def _say_if_uncalled(self) -> None:
        """Say once which adapted layers nothing has reached."""
        names = [] if self._said_uncalled else uncalled_layers(self.model)
        self._said_uncalled = True
        if names:
            rank_zero_info(f"Adapters that no forward has reached, and that learn nothing: {', '.join(names)}.")


def _go_on() -> None:
    """Processes that each hold all of the backbone wait for nobody."""


def _check_rates(learning_rate: float, weight_decay: float, tolerance: float) -> None:
    if not 0 < learning_rate <= 100:
        raise InputError("model.learning_rate", "above 0 and at most 100", learning_rate, "the paper uses 4e-4")
    if not 0 <= weight_decay <= 1000:
        raise InputError("model.weight_decay", "from 0 to 1000", weight_decay, "0 switches it off")
    if not 0 <= tolerance <= 1:
        raise InputError("model.tolerance", "from 0 to 1", tolerance, "0.01 allows 1 % relative")


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
