"""Which rows go into which batch of which process, and how a batch is padded."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DistributedSampler, Sampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase
from transformers.trainer_pt_utils import DistributedLengthGroupedSampler

from dylora.errors import InputError


def train_sampler(
    lengths: Sequence[int], batch_size: int, num_replicas: int, rank: int, seed: int
) -> DistributedLengthGroupedSampler:
    """Random order with rows of similar length in a batch; a pure function of (seed, epoch).

    Every process gets equally many rows: up to `num_replicas - 1` rows come twice in an epoch.

    Args:
        lengths: Number of tokens of each row.
        batch_size: Rows in a batch of one process.
        num_replicas: Number of processes.
        rank: This process, from 0.
        seed: Seed of the order; the epoch is set with the sampler's `set_epoch`.

    Raises:
        InputError: If there are fewer rows than processes.
    """
    if len(lengths) < num_replicas:
        fix = f"there are only {len(lengths)} training rows: use fewer processes"
        raise InputError("trainer.devices", f"at most {len(lengths)} processes", num_replicas, fix)
    return DistributedLengthGroupedSampler(
        batch_size, num_replicas=num_replicas, rank=rank, seed=seed, lengths=list(lengths)
    )


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
    """Rows to a batch of tensors, padded to its longest row.

    Args:
        tokenizer: Gives the padding token and its side.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._pad = DataCollatorWithPadding(tokenizer)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Batch of tensors under the rows' keys: (B, T) for lists of tokens, (B,) for numbers."""
        return dict(self._pad(rows))


def loader_options(
    rows: Any,  # noqa: ANN401 (a datasets.Dataset, which has no types)
    sampler: Sampler[int],
    batch_size: int,
    num_workers: int,
    collate_fn: Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]],
    seed: int,
) -> dict[str, Any]:
    """What every loader of this package is made with.

    Its generator is its own, so that iterating draws nothing from the one that dropout uses.
    """
    return {
        "dataset": rows,
        "batch_size": batch_size,
        "sampler": sampler,
        "num_workers": num_workers,
        "persistent_workers": num_workers > 0,
        "collate_fn": collate_fn,
        "pin_memory": torch.cuda.is_available(),
        "generator": torch.Generator().manual_seed(seed),
    }
