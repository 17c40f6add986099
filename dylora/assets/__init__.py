"""What the package ships: tiny pretrained backbones, for a demo and tests without a download; the list of options."""

from importlib.resources import files
from pathlib import Path
from typing import Literal


def asset_path(name: Literal["roberta", "gpt2"]) -> Path:
    """Folder of a shipped backbone: `config.json`, `model.safetensors` and its tokenizer.

    Args:
        name: `roberta` (masked language model) or `gpt2` (causal language model).

    >>> asset_path("gpt2").name
    'gpt2'
    """
    return Path(str(files(__name__) / name))


def options_file() -> Path:
    """The list of the options of the command line; see `dylora.cli.option_index`."""
    return Path(str(files(__name__) / "options.json"))


def resolve_backbone(name: str) -> str:
    """What to hand to `from_pretrained`: the folder of a shipped backbone, or the name as it is.

    Args:
        name: `builtin/roberta`, `builtin/gpt2`, a folder, or a hub name.

    >>> resolve_backbone("FacebookAI/roberta-base")
    'FacebookAI/roberta-base'
    """
    shipped = {"builtin/roberta": asset_path("roberta"), "builtin/gpt2": asset_path("gpt2")}
    return str(shipped.get(name, name))
