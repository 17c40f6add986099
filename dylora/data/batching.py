"""Which rows go into which batch of which process, and how a batch is padded."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils.data import DistributedSampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from dylora.data.completion import IGNORED
from dylora.errors import InputError

if TYPE_CHECKING:
    from transformers.trainer_pt_utils import DistributedLengthGroupedSampler


def train_sampler(
    lengths: Sequence[int], batch_size: int, num_replicas: int, rank: int, seed: int
) -> "DistributedLengthGroupedSampler":
    """Random order with rows of similar length in a batch; a pure function of (seed, epoch).

    What belongs together is chosen for the batch of all processes: two of 16 rows are one of 32. Every process gets
    equally many rows: up to `num_replicas - 1` rows come twice in an epoch.

    Args:
        lengths: Number of tokens of each row.
        batch_size: Rows in a batch of one process.
        num_replicas: Number of processes.
        rank: This process, from 0.
        seed: Seed of the order; the epoch is set with the sampler's `set_epoch`.

    Raises:
        InputError: If there are fewer rows than processes.
    """
    from transformers.trainer_pt_utils import DistributedLengthGroupedSampler  # loads all of transformers' trainer

    if len(lengths) < num_replicas:
        fix = f"there are only {len(lengths)} training rows: use fewer processes"
        raise InputError("trainer.devices", f"at most {len(lengths)} processes", num_replicas, fix)
    return DistributedLengthGroupedSampler(
        batch_size * num_replicas, num_replicas=num_replicas, rank=rank, seed=seed, lengths=list(lengths)
    )


def alike_in_batches(rows: Sequence[int], lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Rows in another order: each batch of them of similar length, the batches at random, one that is not full last.

    Args:
        rows: Numbers of rows.
        lengths: Number of tokens of each row that there is.
        batch_size: Rows in a batch.
        seed: Of the order of the batches.

    >>> alike_in_batches([0, 1, 2, 3, 4], [9, 1, 9, 1, 9], 2, seed=0)
    [3, 0, 2, 4, 1]
    """
    ordered = sorted(rows, key=lambda row: lengths[row])
    rest = len(ordered) % batch_size
    whole = ordered[rest:] if rest else ordered
    drawn = torch.randperm(len(whole) // batch_size, generator=torch.Generator().manual_seed(seed)).tolist()
    return [row for place in drawn for row in whole[place * batch_size :][:batch_size]] + ordered[:rest]


class EvaluationSampler(DistributedSampler[Any]):
    """Longest rows first, every row in exactly one process.

    It derives from torch's sampler so that Lightning leaves it in place. Lightning's own one without repetition refuses
    a process without rows. Here its length is that of the process with most rows: a process that believed to have no
    batch at all would skip the evaluation and leave the others waiting for its share of the metrics.

    Args:
        lengths: Number of tokens of each row, at least one row.
        num_replicas: Number of processes.
        rank: This process, from 0.
    """

    def __init__(self, lengths: Sequence[int], num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(range(len(lengths)), num_replicas, rank, shuffle=False)  # type: ignore[arg-type]
        self.order = sorted(range(len(lengths)), key=lambda row: -lengths[row])

    def __iter__(self) -> Iterator[int]:
        """Row numbers of this process."""
        return iter(self.order[self.rank :: self.num_replicas])


class Collator:
    """Rows of sentences to a batch of tensors, padded to its longest row.

    Args:
        tokenizer: Gives the padding token and its side.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._pad = DataCollatorWithPadding(tokenizer)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Batch of tensors under the rows' keys: (B, T) for lists of tokens, (B,) for numbers."""
        return dict(self._pad(rows))


class CompletionCollator:
    """Rows of prompts and texts to a batch of tensors, padded to its longest row.

    Args:
        pad_id: Token that fills `input_ids`; it may be the end token, since the mask tells padding apart.
        side: Side that is filled: `left` where the model goes on writing at the end of the row, else `right`.
    """

    def __init__(self, pad_id: int, side: Literal["left", "right"]) -> None:
        self._pad_id = pad_id
        self._side = side

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """The batch.

        Returns:
            `input_ids` (B, T), `attention_mask` (B, T) with 0 on padding, `index` (B,), and, where the rows have
            labels, `labels` (B, T) or (B, T') with -100 outside the text; of packed rows `position_ids` (B, T), with 0
            on padding; of rows with a rank of their own `rank` (B,).
        """
        inputs = [row["input_ids"] for row in rows]
        batch = {
            "input_ids": self._filled(inputs, self._pad_id),
            "attention_mask": self._filled([[1] * len(ids) for ids in inputs], 0),
            "index": torch.tensor([row["index"] for row in rows]),
        }
        if "labels" in rows[0]:
            batch["labels"] = self._filled([row["labels"] for row in rows], IGNORED)
        if "rank" in rows[0]:
            batch["rank"] = torch.tensor([row["rank"] for row in rows])
        if "position_ids" in rows[0]:
            batch["position_ids"] = self._filled([row["position_ids"] for row in rows], 0)
        return batch

    def _filled(self, rows: Sequence[list[int]], value: int) -> torch.Tensor:
        width = max(map(len, rows))
        if self._side == "left":
            return torch.tensor([[value] * (width - len(row)) + row for row in rows])
        return torch.tensor([row + [value] * (width - len(row)) for row in rows])
