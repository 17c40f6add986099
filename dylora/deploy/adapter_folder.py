"""Folders of dylora: `dylora.json` says what the adapter is, `adapter.safetensors` holds what was trained.

Beside them lie the files of the tokenizer or the image processor, where one is known. Nothing in such a folder is run
when it is read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, cast

from lightning.pytorch.utilities import rank_zero_info
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from dylora.adapters.active_rank import adapted_layers
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.layers import AdaptedLayer
from dylora.deploy.checksums import check_sums
from dylora.errors import InputError
from dylora.runs.checkpoint_content import ill_typed, is_finite
from dylora.runs.digests import DIGESTS, differing, digests_of
from dylora.runs.folders import write_json
from dylora.whole_files import write_whole

FORMAT = 1
CONFIG = "dylora.json"
WEIGHTS = "adapter.safetensors"
Layers = dict[str, dict[str, list[int]]]
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("adapter", "layers", "backbone", "limits", "text_form"), dict),
    **dict.fromkeys(("model_config", "decoding"), (dict, NoneType)),
    **dict.fromkeys(("model_class", "dtype", "task"), str),
    "labels": list,
}
_NEEDED = ("adapter", "layers", "model_class", "model_config", "dtype", "backbone")


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
        try:
            return DyLoRAConfig(**self.adapter)
        except TypeError as error:
            given = f"values of other types ({error})"
            raise InputError(CONFIG, "an adapter of known options", given, "copy the folder again") from error


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
    """Write the two files, `dylora.json` last and with digests; the folder is made if it is not there.

    Args:
        folder: Where to.
        record: What the adapter is.
        state: What was trained, by its name in the model.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    content = json.loads(json.dumps({"format": FORMAT, **asdict(record)}))
    write_whole(folder / WEIGHTS, to_safetensors(tensors, metadata={"format": "pt"}))
    write_json(folder / CONFIG, {**content, DIGESTS: digests_of({**content, WEIGHTS: tensors})})


def read_folder(folder: Path) -> tuple[AdapterRecord, dict[str, Tensor]]:
    """What a folder of dylora says of its adapter, and what was trained by its name in the model.

    Both are compared with the digests in `dylora.json`. A folder of an earlier version has none, which is noted.

    Raises:
        InputError: If a file is missing, damaged, changed or of another format, or if weights are NaN or infinite.
    """
    check_sums(folder)
    content, state = _read_content(folder), _read_state(folder)
    if DIGESTS not in content:
        rank_zero_info(f"{folder} holds no digests (an earlier version wrote it): damage is found in part only.")
    elif (found := differing({**content, WEIGHTS: state})) is not None:
        fix = "copy the folder again; dylora.load(folder, backbone=…) takes another place of the backbone"
        raise InputError(str(folder), "as it was written", f"a folder in which {found}", fix)
    if (wrong := next((name for name, tensor in state.items() if not is_finite(tensor)), None)) is not None:
        raise _damaged(folder / WEIGHTS, f"{wrong} is NaN or infinite")
    return _record(content, folder / CONFIG), state


def _record(content: dict[str, Any], path: Path) -> AdapterRecord:
    content = {name: value for name, value in content.items() if name not in ("format", DIGESTS)}
    if (fault := ill_typed(content, _TYPES, _NEEDED)) is not None:
        raise _damaged(path, fault)
    try:
        return AdapterRecord(**content)
    except TypeError as error:
        raise _damaged(path, str(error)) from error


def _read_content(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        holds = ", ".join(sorted(each.name for each in folder.iterdir())[:8]) or "nothing"
        fix = "give a run's folder, a checkpoint, or a folder that dylora.save or export wrote"
        raise InputError("path", f"a folder with {CONFIG}", f"{str(folder)!r}, which holds {holds}", fix) from None
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    except RecursionError as error:
        raise _damaged(path, "too deep") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        fix = "use the version of dylora that wrote it"
        raise InputError(str(path), f"of format {FORMAT}", "none" if found is None else f"format {found}", fix)
    return cast(dict[str, Any], content)


def _read_state(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    return state


def _damaged(path: Path, reason: str) -> InputError:
    given = f"one that is missing or damaged ({reason})"
    return InputError(str(path), "a whole file that dylora wrote", given, "copy the folder again")
