"""The commands for text generation: E2E, WebNLG, DART and the embedded set."""

from functools import cache
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser

from dylora.callbacks.generated_text import GeneratedText
from dylora.callbacks.predictions import write_json_lines
from dylora.cli.base import DyLoRACLI, say
from dylora.data import DARTDataModule, E2EDataModule, RestaurantTextDataModule, WebNLGDataModule
from dylora.modules.base import EveryRankModule
from dylora.modules.generation import GenerationModule
from dylora.runs.folders import free_path

SETS: dict[str, type[LightningDataModule]] = {
    "e2e": E2EDataModule,
    "webnlg": WebNLGDataModule,
    "dart": DARTDataModule,
    "restaurants": RestaurantTextDataModule,
}


class TextCLI(DyLoRACLI):
    """Text generation from tables, on the set that a subclass names."""

    model: GenerationModule
    module_class = GenerationModule
    set_name: str

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what all commands have, and the set, which has chosen this parser already."""
        super().add_arguments_to_parser(parser)
        text = "Set to train on: " + ", ".join(SETS) + ". It decides the options below `data`."
        parser.add_argument("--set", type=str, default=self.set_name, help=text)
        parser.link_arguments("set", "model.task")
        parser.link_arguments("model.gguf_file", "data.gguf_file")

    def run_name(self) -> str:
        """The set; the embedded one shares its name with a sentence task, and runs do not share a folder."""
        return f"{self.set_name}_text" if self.set_name == "restaurants" else self.set_name

    def predicted_splits(self) -> tuple[str, ...]:
        """The test split."""
        return ("test",)

    def more_callbacks(self) -> list[Callback]:
        """Texts of all ranks on TensorBoard."""
        return [GeneratedText()]

    def test(self, model: EveryRankModule, **options: Any) -> None:  # noqa: ANN401
        """Generate from the whole test split at the asked ranks, score it, and keep the texts."""
        super().test(model, **options)
        if self.trainer.is_global_zero:
            self._write_texts(self.run_of_checkpoint() / "predictions")

    def _write_texts(self, folder: Path) -> None:
        for rank in self.model.eval_ranks:
            path = free_path(folder / f"rank_{rank}.jsonl")
            write_json_lines(path, self.model.records(rank))
            say(f"Written: {path}")


@cache
def text_cli(set_name: str) -> type[TextCLI]:
    """The commands of one set."""
    return type(f"{set_name.title()}CLI", (TextCLI,), {"set_name": set_name, "data_class": SETS[set_name]})
