"""A batch at several ranks: stacked along its rows where that is right, else at one rank after another."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from transformers import PreTrainedModel

from dylora.adapters.active_rank import check_rank, rank_state, set_rank, use_rank
from dylora.adapters.rank_per_row import may_stack, probed
from dylora.modules.all_processes import are_several
from dylora.modules.shared_prefix import SharedPrefix

Batch = dict[str, Tensor]

_TOKENS = {"cpu": 1024}
_TOKENS_ELSEWHERE = 2**17
"""Tokens of one evaluation forward. A CPU is as fast at 1,024 as at more, and slower once they leave its caches."""

_PATCH = 3 * 16 * 16
"""Values of an image that become one token."""


class StackedRanks(LightningModule, ABC):
    """Forwards of a batch at several ranks.

    Attributes:
        model: The backbone as the method made it.
        eval_rows: Rows of one evaluation forward.
        eval_ranks: The ranks that are evaluated.
    """

    model: PreTrainedModel
    eval_rows: int
    eval_ranks: tuple[int, ...]
    _said: bool
    _prefix: SharedPrefix | None
    _shares_prefix: bool | None

    @abstractmethod
    def losses_of(self, batch: Batch, groups: int) -> tuple[Tensor, Tensor]:
        """Mean loss of each of equal consecutive groups of rows, (groups,), and the outputs of all rows."""

    @torch.no_grad()
    def outputs_at_ranks(self, batch: Batch) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Rank, loss () and outputs (rows, …) of a batch at each of `eval_ranks`, as many at once as pay.

        Without gradients.
        """
        size = max(1, min(self.eval_rows // rows_of(batch), _most_tokens(self.device) // tokens_of(batch)))
        stacks = may_stack(self.model, "forward", self.eval_ranks[:size], lambda ranks: self._run(batch, ranks)[1])
        self._say_if_refuted()
        chunks = self._chunks(self.eval_ranks, size if stacks else 1)
        prefix = self._prefix_of(batch, chunks)
        with prefix.of_one_batch() if prefix else nullcontext() as memory:
            for ranks in chunks:
                with memory.active() if memory else nullcontext():  # never across a `yield`
                    losses, outputs = self._run(batch, ranks)
                yield from zip(ranks, losses, outputs.chunk(len(ranks)), strict=True)

    def _prefix_of(self, batch: Batch, chunks: Sequence[Sequence[int]]) -> SharedPrefix | None:
        """What comes before the first adapter, if several forwards of a batch may compute it once; else None.

        Found out on the first batch: the outputs have to have the same bits. Not in several processes, which would have
        to agree call by call where a strategy spreads the weights over them; nor compiled, where there are no calls.
        """
        if len(chunks) < 2 or self.training or self.model.training:
            return None
        if are_several() or rank_state(self.model).compiled:
            return None
        if self._shares_prefix is None and len(chunks[0]) == len(chunks[1]):
            self._prefix = prefix = SharedPrefix(self.model)
            self._shares_prefix = probed(self.model, lambda: self._gives_same_bits(prefix, batch, chunks))
        return self._prefix if self._shares_prefix else None

    def _gives_same_bits(self, prefix: SharedPrefix, batch: Batch, chunks: Sequence[Sequence[int]]) -> bool:
        found = []
        with prefix.of_one_batch() as memory:
            for ranks in chunks[:2]:
                with memory.active():
                    found.append(self._run(batch, ranks)[1])
        again, expected = (self._run(batch, ranks)[1] for ranks in chunks[1::-1])
        return torch.equal(found[1], again) and torch.equal(found[0], expected)

    @torch.no_grad()
    def outputs_at_own_ranks(self, batch: Batch) -> Tensor:
        """Outputs (rows, …) of a batch whose rows each have a rank of their own: `rank` (rows,), 1-based.

        One forward with one copy of the weights, without gradients. A model that does not keep the rows of a batch
        apart runs the rows of one rank at a time.

        Raises:
            InputError: If a rank is none that the adapter is trained at.
        """
        ranks, rest = batch["rank"], {key: value for key, value in batch.items() if key != "rank"}
        check_rank(ranks, rank_state(self.model).config.ranks)
        distinct = sorted(set(ranks.tolist()))
        stacks = may_stack(self.model, "forward", distinct, lambda some: self._run(rest, some)[1])
        self._say_if_refuted()
        if stacks:
            with use_rank(self.model, ranks if len(distinct) > 1 else self._as_data(distinct[0], len(ranks))):
                return self.losses_of(rest, 1)[1]
        places = [(ranks == rank).nonzero().flatten() for rank in distinct]
        parts = [
            self._run({key: value[place] for key, value in rest.items()}, [rank])[1]
            for rank, place in zip(distinct, places, strict=True)
        ]
        return torch.cat(parts)[torch.cat(places).argsort()]

    def _run(self, batch: Batch, ranks: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Losses (ranks,) and outputs (ranks * rows, ...) of a batch, stacked if there are several ranks."""
        with use_rank(self.model, ranks[0]):
            return self.losses_of(self._stack(batch, ranks), len(ranks))

    def _stack(self, batch: Batch, ranks: Sequence[int]) -> Batch:
        """Repeat a batch once for each rank, along dimension 0, and activate a rank for each row."""
        rows = rows_of(batch)
        if len(ranks) == 1:
            set_rank(self.model, self._as_data(ranks[0], rows))
            return batch
        set_rank(self.model, torch.tensor(ranks, device=self.device).repeat_interleave(rows))
        return {key: value.repeat(len(ranks), *[1] * (value.dim() - 1)) for key, value in batch.items()}

    def _as_data(self, rank: int, rows: int) -> int | Tensor:
        """A rank of all rows; of a compiled backbone one for each of them, (rows,)."""
        return torch.full((rows,), rank, device=self.device) if rank_state(self.model).compiled else rank

    @staticmethod
    def _chunks(ranks: Sequence[int], size: int) -> list[Sequence[int]]:
        return [ranks[start : start + size] for start in range(0, len(ranks), size)]

    def _say_if_refuted(self) -> None:
        """Say once why evaluation takes longer than elsewhere."""
        if not self._said and not all(rank_state(self.model).row_checks.values()):
            self._said = True
            rank_zero_info(
                f"{type(self.model).__name__} runs at one rank at a time: it does not keep the rows of a batch apart, "
                "as several ranks in one batch need."
            )


def rows_of(batch: Mapping[str, Tensor]) -> int:
    """The number of rows of a batch."""
    return len(next(iter(batch.values())))


def tokens_of(batch: Batch) -> int:
    """About how many tokens a model makes of a batch, padding included; at least 1."""
    ids = batch.get("input_ids")
    return max(1, ids.numel() if ids is not None else max(map(Tensor.numel, batch.values())) // _PATCH)


def _most_tokens(device: torch.device) -> int:
    return _TOKENS.get(device.type, _TOKENS_ELSEWHERE)
