"""Folders of dylora: `dylora.json` says what the adapter is, `adapter.safetensors` holds what was trained.

Beside them lie the files of the tokenizer or the image processor, where one is known. Nothing in such a folder is run
when it is read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dylora.adapters.active_rank import adapted_layers
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.layers import AdaptedLayer
from dylora.errors import InputError
from dylora.runs.folders import ADAPTER_FILE, write_json

FORMAT = 1
CONFIG = ADAPTER_FILE
WEIGHTS = "adapter.safetensors"
Layers = dict[str, dict[str, list[int]]]


@dataclass(frozen=True)
class AdapterRecord:
    """What `dylora.json` says, in plain types.

    Attributes:
        adapter: All fields of `DyLoRAConfig`.
        layers: The adapted layers by name; under each the slices of its output that are adapted, by name, as groups,
            start and width (see `OutputSlice`), or nothing where the whole output is.
        model_class: Class path of the model.
        model_config: The configuration of a Hugging Face model, else None.
        dtype: Type of the base weights, such as `float32`.
        backbone: Name, revision and fingerprint of the backbone, its `gguf_file` and its `quantization`; the name is
            empty where the model was not loaded from anywhere.
        task: Name of the task, empty where it has none.
        labels: Names of the classes in the order of their ids.
        decoding: All fields of `DecodingConfig` for a model that writes text, else None.
        limits: Where inputs are cut, such as `max_length`, in tokens.
        text_form: Of a model that was trained on prompts of one's own: `end_ids`, the tokens that end a text, and
            `is_chat`, whether prompts are put into the model's chat template. Else empty, and a text ends at an empty
            line too.
    """

    adapter: dict[str, Any]
    layers: Layers
    model_class: str
    model_config: dict[str, Any] | None
    dtype: str
    backbone: dict[str, Any]
    task: str = ""
    labels: list[str] = field(default_factory=list)
    decoding: dict[str, Any] | None = None
    limits: dict[str, int] = field(default_factory=dict)
    text_form: dict[str, Any] = field(default_factory=dict)

    def config(self) -> DyLoRAConfig:
        """What the adapter is made of.

        Raises:
            InputError: If it has fields that this version does not know, or values out of range.
        """
        known = {each.name for each in fields(DyLoRAConfig) if each.init}
        if unknown := sorted(self.adapter.keys() - known):
            fix = "use the version of dylora that wrote it, or a newer one"
            raise InputError(CONFIG, "an adapter of known options", f"one with {', '.join(unknown)}", fix)
        return DyLoRAConfig(**self.adapter)


def config_fields(config: DyLoRAConfig) -> dict[str, Any]:
    """All options of an adapter in plain types."""
    found = {each.name: getattr(config, each.name) for each in fields(config) if each.init}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def layers_of(model: nn.Module) -> Layers:
    """The adapted layers of a model and their slices, as `AdapterRecord.layers` has them.

    Raises:
        InputError: If the model has none.
    """
    adapted_layers(model)
    named = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, AdaptedLayer)]
    return {name: {part: [s.groups, s.start, s.width] for part, s in layer.slices.items()} for name, layer in named}


def write_folder(folder: Path, record: AdapterRecord, state: Mapping[str, Tensor]) -> None:
    """Write the two files; the folder is made if it is not there.

    Args:
        folder: Where to.
        record: What the adapter is.
        state: What was trained, by its name in the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    write_json(folder / CONFIG, {"format": FORMAT, **asdict(record)})


def read_folder(folder: Path) -> tuple[AdapterRecord, dict[str, Tensor]]:
    """What a folder of dylora says of its adapter, and what was trained by its name in the model.

    Raises:
        InputError: If a file is missing, damaged or of another format.
    """
    return read_record(folder), read_state(folder)


def read_record(folder: Path) -> AdapterRecord:
    """What a folder of dylora says of its adapter.

    Raises:
        InputError: If the file is missing, damaged or of another format.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        holds = ", ".join(sorted(each.name for each in folder.iterdir())[:8]) or "nothing"
        fix = "give a run's folder, a checkpoint, or a folder that dylora.save or export wrote"
        raise InputError("path", f"a folder with {CONFIG}", f"{str(folder)!r}, which holds {holds}", fix) from None
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found != FORMAT:
        fix = "use the version of dylora that wrote it"
        raise InputError(str(path), f"of format {FORMAT}", "none" if found is None else f"format {found}", fix)
    try:
        return AdapterRecord(**content)
    except TypeError as error:
        raise _damaged(path, str(error)) from error


def read_state(folder: Path) -> dict[str, Tensor]:
    """What was trained, by its name in the model.

    Raises:
        InputError: If the file is missing or damaged.
    """
    path = folder / WEIGHTS
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, str(error)) from error
    return state


def _damaged(path: Path, reason: str) -> InputError:
    given = f"one that is missing or damaged ({reason})"
    return InputError(str(path), "a whole file that dylora wrote", given, "copy the folder again")
