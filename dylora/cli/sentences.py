"""The commands for sentence tasks: GLUE's and the embedded one."""

from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from dylora.callbacks.predictions import CollectPredictions
from dylora.cli.base import DyLoRACLI, say
from dylora.cli.evaluation import write_submissions
from dylora.data.glue import GLUEDataModule
from dylora.modules.classification import SequenceClassificationModule


class SentenceCLI(DyLoRACLI):
    """Classification and regression of sentences and pairs of sentences."""

    model: SequenceClassificationModule
    datamodule: GLUEDataModule
    module_class = SequenceClassificationModule
    data_class = GLUEDataModule

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what all commands have, and the task in one place."""
        super().add_arguments_to_parser(parser)
        parser.link_arguments("data.task", "model.task")

    def run_name(self) -> str:
        """The task."""
        return str(self._get(self.config, "data").task)

    def predicted_splits(self) -> tuple[str, ...]:
        """The test or validation splits."""
        return self.datamodule.split_names("predict")

    def write_further(self, collected: CollectPredictions) -> None:
        """Write the leaderboard's files, if they are asked for."""
        if submission := self._get(self.config, "submission"):
            for path in write_submissions(collected, self.model.task, self.model.eval_ranks, Path(submission)):
                say(f"Written: {path}")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:  # noqa: ANN401
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            text = "Folder for the GLUE leaderboard's files; with a folder for each rank if there are several."
            parser.add_argument("--submission", type=str | None, default=None, help=text)
        return parser
