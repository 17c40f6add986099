"""A few generated texts on TensorBoard, those of all ranks side by side."""

import html
from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from dylora.modules.generation import GenerationModule
from dylora.rank_curve.table import shown_ranks


class GeneratedText(Callback):
    """After each validation, write the first items with the texts of every rank as a table.

    Args:
        examples: Number of items to show, 0 or more; as many as were generated, if those are fewer.
    """

    def __init__(self, examples: int = 4) -> None:
        self.examples = examples

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table, if there is something to show and TensorBoard to show it on."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        assert isinstance(pl_module, GenerationModule)
        logger = next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
        if logger is not None and pl_module.predictions and self.examples:
            logger.experiment.add_text("generated", text_table(pl_module, self.examples), trainer.global_step)


def text_table(module: GenerationModule, examples: int) -> str:
    """A Markdown table of the last evaluation: a row an item; its input, the text at each rank and a reference.

    Args:
        module: A module that has generated.
        examples: Largest number of rows.
    """
    ranks = shown_ranks(sorted(module.predictions))
    columns = [module.records(rank, examples) for rank in ranks]
    lines = [_row(["input", *(f"rank {rank}" for rank in ranks), "reference"]), _row(["---"] * (len(ranks) + 2))]
    for records in zip(*columns, strict=True):
        first = records[0]
        lines.append(_row([first["input"], *(record["output"] for record in records), *first["references"][:1]]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    plain = (" ".join(html.escape(cell).replace("|", "&#124;").split()) for cell in cells)
    return f"| {' | '.join(plain)} |"
