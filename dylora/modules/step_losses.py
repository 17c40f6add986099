"""The plan of a training step and its loss: at one rank, at several, at one for each row, with distillation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dylora.adapters.active_rank import rank_state, set_rank, use_rank
from dylora.adapters.distillation import Distillation, distillation_losses
from dylora.adapters.rank_per_row import may_stack, takes_rank_per_row
from dylora.errors import InputError
from dylora.modules.all_processes import share_findings
from dylora.modules.stacked_ranks import Batch, StackedRanks, rows_of


class StepLosses(StackedRanks):
    """The loss of a training step at the ranks that are planned for it.

    Attributes:
        distillation: How rows below `max_rank` learn from it; None for not at all.
    """

    distillation: Distillation | None

    def plan_step(self, ranks: Sequence[int], weights: Sequence[float], frozen: bool = False) -> None:
        """Choose the ranks of the coming training steps, and the weight of each in the loss.

        One rank is the individual loss; several are the summation loss (nested dropout), run as one stacked batch.
        """
        self._step_ranks = tuple(ranks)
        self._step_weights = tuple(weights)
        self._row_ranks: Tensor | None = None
        if frozen and rank_state(self.model).compiled:
            raise InputError("model.compile", "false for frozen mode", "true", "leave one of them out")
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

    def loss_places(self, batch: Batch) -> Tensor | None:
        """How many places the loss of a batch is the mean of, (); None for its rows, of which all processes have alike.

        Where it is not the rows, the processes of a step weigh their losses with it: together they train the mean over
        all places, as one process with all of the rows would.
        """
        return None

    def _task_loss(self, batch: Batch) -> Tensor:
        """The loss of the step's ranks, (): of one for all rows, of one a row, or of several, weighted."""
        if self._row_ranks is not None:
            self._check_rank_per_row(batch)
        elif rank_state(self.model).compiled and len(self._step_ranks) == 1:
            set_rank(self.model, self._as_data(self._step_ranks[0], rows_of(batch)))
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
        with torch.no_grad(), use_rank(self.model, self._as_data(max_rank, rows_of(batch))):
            teacher = self.outputs_of(batch)
        shares = (lower * distillation.weight).to(losses).expand(rows_of(batch))[rows]
        return torch.lerp(losses, distillation_losses(outputs, teacher, distillation.loss), shares).mean()

    def _losses_at(self, batch: Batch, ranks: Sequence[int]) -> Tensor:
        # A single rank is active already, with its update mode.
        stacked = self._stack(batch, ranks) if len(self._step_ranks) > 1 else batch
        return self.losses_of(stacked, len(ranks))[0]

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

    def rows_apart(self, batch: Batch) -> bool:
        """Whether the rows of a batch can be at ranks of their own, as far as is known; found out on the first one.

        All processes have to call it, each with a batch of its own.
        """
        checks, ranks = rank_state(self.model).row_checks, rank_state(self.model).config.ranks
        if "forward" not in checks and len(ranks) > 1 and takes_rank_per_row(self.model):
            ends = (ranks.min_rank, ranks.max_rank)
            may_stack(self.model, "forward", ends, lambda ranks: self._run(batch, ranks)[1])
            share_findings(checks)
        return takes_rank_per_row(self.model)

    def _check_rank_per_row(self, batch: Batch) -> None:
        """Refuse to go on where a batch shows that its rows do not run at ranks of their own."""
        self._refuse_shared_rows(self.rows_apart(batch))

    def _refuse_shared_rows(self, apart: bool) -> None:
        if not apart:
            allowed = "individual or summation for a model that does not keep the rows of a batch apart"
            given = f"a rank for each row of {type(self.model).__name__}"
            raise InputError("rank_sampling.objective", allowed, given, "set it to individual")
