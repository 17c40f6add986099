"""The classes that `--model`, `--data` and `--model.method` know by their short names, and what they are by default."""

from functools import cache
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule, LightningModule

from dylora.data.glue import GLUEDataModule
from dylora.data.image_classification import ImageClassificationDataModule
from dylora.data.prompt import PromptDataModule
from dylora.data.table_to_text import (
    DARTDataModule,
    E2EDataModule,
    RestaurantTextDataModule,
    WebNLGDataModule,
)
from dylora.data.text_classification import TextClassificationDataModule
from dylora.methods.adapter import Adapter
from dylora.methods.flop import FLOP
from dylora.methods.full import FullFineTuning
from dylora.methods.method import Method
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule
from dylora.modules.image_classification import ImageClassificationModule

MODELS: tuple[type[LightningModule], ...] = (
    SequenceClassificationModule,
    GenerationModule,
    ImageClassificationModule,
)
DATA: tuple[type[LightningDataModule], ...] = (
    GLUEDataModule,
    TextClassificationDataModule,
    E2EDataModule,
    WebNLGDataModule,
    DARTDataModule,
    RestaurantTextDataModule,
    PromptDataModule,
    ImageClassificationDataModule,
)
METHODS: tuple[type[Method], ...] = (Adapter, FullFineTuning, FLOP)

DEFAULTS = ("--model", MODELS[0].__name__, "--data", DATA[0].__name__)
"""What stands before all other arguments, so that options and files without a class mean these."""


def class_at(path: str) -> type:
    """The class that a class path names.

    Args:
        path: Module and name with a dot between them, as a parsed configuration has it in `class_path`.
    """
    module, _, name = path.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


@cache
def options_of(chosen: type) -> dict[str, Any]:
    """The options of a class with their defaults, nested ones with dots between the names."""
    parser = ArgumentParser()
    parser.add_class_arguments(chosen, fail_untyped=False)
    return dict(parser.get_defaults().items())
