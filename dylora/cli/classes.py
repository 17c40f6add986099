"""The classes that `--model`, `--data` and `--model.method` know by their short names, and what they are by default.

None of them is loaded before it is named: the libraries behind images, texts and tables take seconds.
"""

import os
import re
from functools import cache
from importlib import import_module
from typing import Any

from dylora.runs.yaml_text import MOST_BYTES

MODELS = {
    "SequenceClassificationModule": "dylora.modules.classification",
    "GenerationModule": "dylora.modules.generation",
    "ImageClassificationModule": "dylora.modules.image_classification",
}
DATA = {
    "GLUEDataModule": "dylora.data.glue",
    "TextClassificationDataModule": "dylora.data.text_classification",
    "E2EDataModule": "dylora.data.table_to_text",
    "WebNLGDataModule": "dylora.data.table_to_text",
    "DARTDataModule": "dylora.data.table_to_text",
    "RestaurantTextDataModule": "dylora.data.table_to_text",
    "PromptDataModule": "dylora.data.prompt",
    "ImageClassificationDataModule": "dylora.data.image_classification",
}
METHODS = {
    "Adapter": "dylora.methods.adapter",
    "FullFineTuning": "dylora.methods.full",
    "FLOP": "dylora.methods.flop",
}
KNOWN = {"--model": MODELS, "--data": DATA, "--model.method": METHODS}
"""For each option that takes a class: the modules of the known ones, by their short names."""

DEFAULTS = ("--model", next(iter(MODELS)), "--data", next(iter(DATA)))
"""What stands before all other arguments, so that options and files without a class mean these."""

_MODULES = MODELS | DATA | METHODS
_WORD = re.compile(r"\w+")
_FILE = re.compile(r"[^\s=\"']+\.(?:ya?ml|json)\b")


def load_named(text: str) -> None:
    """Load the known classes whose short names stand in a text, so that the parser finds them by these.

    Args:
        text: Arguments, or the content of a configuration file; files that it names are read, too.
    """
    read: set[str] = set()
    texts = [text]
    while texts:
        content = texts.pop()
        for name in _MODULES.keys() & set(_WORD.findall(content)):
            import_module(_MODULES[name])
        for file in {*_FILE.findall(content)} - read:
            read.add(file)
            if os.path.isfile(file) and os.access(file, os.R_OK):
                with open(file, errors="replace") as opened:
                    texts.append(opened.read(MOST_BYTES))


def known_class(name: str) -> type:
    """A known class.

    Args:
        name: Its short name.
    """
    return class_at(f"{_MODULES[name]}.{name}")


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
    from jsonargparse import ArgumentParser

    parser = ArgumentParser()
    parser.add_class_arguments(chosen, fail_untyped=False)
    return dict(parser.get_defaults().items())
