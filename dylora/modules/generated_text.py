"""A few generated texts on TensorBoard, those of all ranks side by side."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

Record = dict[str, Any]


def show_texts(trainer: Trainer, written: Mapping[int, Sequence[Record]]) -> None:
    """Write a table of texts, if there are any and TensorBoard to show them on.

    Args:
        trainer: The trainer, whose loggers are asked.
        written: As for `text_table`.
    """
    logger = next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
    if logger is not None and any(written.values()):
        logger.experiment.add_text("generated", text_table(written), trainer.global_step)


def text_table(written: Mapping[int, Sequence[Record]]) -> str:
    """A Markdown table: a row an item; its input, the text at each rank and a reference.

    Args:
        written: For each rank, a record of each item with `input`, `references` and `output`.
    """
    lines = [_row(["input", *(f"rank {rank}" for rank in written), "reference"]), _row(["---"] * (len(written) + 2))]
    for records in zip(*written.values(), strict=True):
        first = records[0]
        lines.append(_row([first["input"], *(record["output"] for record in records), *first["references"][:1]]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    plain = (" ".join(html.escape(cell).replace("|", "&#124;").split()) for cell in cells)
    return f"| {' | '.join(plain)} |"
