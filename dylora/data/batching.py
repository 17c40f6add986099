"""Which rows go into which batch of which process, and how a batch is padded."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.utils.data import DistributedSampler
from transformers import PreTrainedTokenizerBase

from dylora.data.completion import IGNORED
from dylora.errors import InputError

Side = Literal["left", "right"]

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

    It gives what `tokenizer.pad` does, which looks at every number by itself.

    Args:
        tokenizer: Gives what each kind of lists is padded with, and the side.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._side: Side = "left" if tokenizer.padding_side == "left" else "right"
        self._fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Batch of tensors under the rows' keys: (B, T) for lists of tokens, (B,) for numbers."""
        batch = {}
        for name, first in rows[0].items():
            values = [row[name] for row in rows]
            is_list = isinstance(first, list)
            batch[name] = padded(values, self._fill.get(name, 0), self._side) if is_list else torch.tensor(values)
        return batch


class CompletionCollator:
    """Rows of prompts and texts to a batch of tensors, padded to its longest row.

    Args:
        pad_id: Token that fills `input_ids`; it may be the end token, since the mask tells padding apart.
        side: Side that is filled: `left` where the model goes on writing at the end of the row, else `right`.
    """

    def __init__(self, pad_id: int, side: Side) -> None:
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
            "input_ids": padded(inputs, self._pad_id, self._side),
            "attention_mask": padded([[1] * len(ids) for ids in inputs], 0, self._side),
        }
        for name, fill in (("labels", IGNORED), ("position_ids", 0)):
            if name in rows[0]:
                batch[name] = padded([row[name] for row in rows], fill, self._side)
        for name in ("index", "rank"):
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows])
        return batch


def padded(rows: Sequence[Sequence[int]], fill: int, side: Side) -> torch.Tensor:
    """Rows of numbers as one tensor (B, T), filled up to the longest.

    A row is copied into an array at once; `torch.tensor` of lists looks at each number by itself.

    >>> padded([[1, 2], [3]], 0, "left")
    tensor([[1, 2],
            [0, 3]])
    """
    width = max(map(len, rows))
    found = np.full((len(rows), width), fill, dtype=np.int64)
    for place, row in enumerate(rows):
        found[place, slice(width - len(row), width) if side == "left" else slice(len(row))] = row
    return torch.from_numpy(found)
