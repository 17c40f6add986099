"""Folders of PEFT: `adapter_config.json` and `adapter_model.safetensors`."""

import json
from pathlib import Path

from safetensors.torch import save_file

from dylora.adapters.export import PeftAdapter

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def write_peft(folder: Path, adapter: PeftAdapter) -> None:
    """Write an adapter as PEFT does; the folder is made if it is not there.

    Args:
        folder: Where to.
        adapter: The adapter at one rank.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(adapter.config, indent=2) + "\n", encoding="utf-8")
    save_file(adapter.state, folder / WEIGHTS, metadata={"format": "pt"})
