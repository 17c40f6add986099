"""What the package ships: tiny pretrained backbones, for a demo and tests without a download; the list of options."""

from importlib.resources import files
from pathlib import Path
from typing import Literal

from dylora.errors import InputError

_LONGEST = 1000


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

    Raises:
        InputError: If the package ships no such backbone, or no file or repository can have that name.

    >>> resolve_backbone("FacebookAI/roberta-base")
    'FacebookAI/roberta-base'
    """
    shipped = {"builtin/roberta": asset_path("roberta"), "builtin/gpt2": asset_path("gpt2")}
    if not name.strip() or len(name) > _LONGEST or "\0" in name:
        given = repr(name[:40]) + "…" * (len(name) > 40)
        raise InputError("model.backbone", "a folder or the name of a backbone", given, "builtin/roberta is one")
    if name.startswith("builtin/") and name not in shipped:
        raise InputError("model.backbone", " or ".join(shipped), repr(name), "others are folders or names on the hub")
    return str(shipped.get(name, name))
