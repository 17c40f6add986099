"""Folders of PEFT: `adapter_config.json` and `adapter_model.safetensors`."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from dylora.adapters.export import PeftAdapter
from dylora.deploy.checksums import check_sums
from dylora.errors import InputError
from dylora.runs.checkpoint_content import is_finite
from dylora.whole_files import write_whole

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def write_peft(folder: Path, adapter: PeftAdapter) -> None:
    """Write an adapter as PEFT does; the folder is made if it is not there.

    Args:
        folder: Where to.
        adapter: The adapter at one rank.
    """
    write_whole(folder / WEIGHTS, to_safetensors(adapter.state, metadata={"format": "pt"}))
    write_whole(folder / CONFIG, json.dumps(adapter.config, indent=2) + "\n")


def read_peft(folder: Path) -> PeftAdapter:
    """The content of PEFT's two files; nothing in them is run.

    Raises:
        InputError: If a file is missing or damaged, is not the one that the folder's checksums list, or holds weights
            that are NaN or infinite.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            holds = ", ".join(sorted(path.name for path in folder.glob("*"))[:8]) or "nothing"
            fix = "give a folder that PEFT's save_pretrained wrote"
            raise InputError("PEFT_DIR", f"a folder with {CONFIG} and {WEIGHTS}", f"{str(folder)!r} with {holds}", fix)
    check_sums(folder)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(folder / CONFIG, error) from error
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise _damaged(folder / WEIGHTS, error) from error
    if (wrong := next((name for name, tensor in state.items() if not is_finite(tensor)), None)) is not None:
        raise InputError(str(folder / WEIGHTS), "finite", f"NaN or infinite values in {wrong}", "train it again")
    return PeftAdapter(config, state)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(str(path), "a whole file of PEFT", f"a damaged one ({error})", "copy the folder again")
