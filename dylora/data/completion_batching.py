"""Rows of prompts and texts to padded batches."""

from collections.abc import Sequence
from typing import Any, Literal

import torch

from dylora.data.completion import IGNORED


class CompletionCollator:
    """Rows to a batch of tensors, padded to its longest row.

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
            labels, `labels` (B, T) or (B, T') with -100 outside the text.
        """
        inputs = [row["input_ids"] for row in rows]
        batch = {
            "input_ids": self._filled(inputs, self._pad_id),
            "attention_mask": self._filled([[1] * len(ids) for ids in inputs], 0),
            "index": torch.tensor([row["index"] for row in rows]),
        }
        if "labels" in rows[0]:
            batch["labels"] = self._filled([row["labels"] for row in rows], IGNORED)
        return batch

    def _filled(self, rows: Sequence[list[int]], value: int) -> torch.Tensor:
        width = max(map(len, rows))
        if self._side == "left":
            return torch.tensor([[value] * (width - len(row)) + row for row in rows])
        return torch.tensor([row + [value] * (width - len(row)) for row in rows])
