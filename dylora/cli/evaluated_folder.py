"""`validate`, `test` and `predict` of a folder of dylora, which is no run: what it decides of their options."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from dylora.cli.classes import class_at, options_of
from dylora.cli.links import arguments
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.processes import say
from dylora.runs.checkpoints import KEY
from dylora.runs.folders import ADAPTER_FILE
from dylora.runs.options import class_path

if TYPE_CHECKING:
    from dylora.deploy.adapter_folder import AdapterRecord


def is_folder(path: str | Path | None) -> bool:
    """Whether a path is a folder that `convert`, `export --format dylora` or `dylora.save` wrote."""
    return path is not None and (Path(path) / ADAPTER_FILE).is_file()


def with_model_of(folder: Path, options: Sequence[str]) -> list[str]:
    """The options of a command with the model of a folder, which later ones (`--model.backbone`) may change.

    Args:
        folder: The folder.
        options: The options as they were given; a configuration file counts less than the folder.

    Raises:
        InputError: If the folder is damaged, or its model is of no known kind.
    """
    from dylora.deploy.adapter_folder import read_folder  # with the data libraries, as those below
    from dylora.deploy.module_of_folder import module_of

    record, state = read_folder(folder)
    kind, chosen = module_of(record, state)
    say(f"Folder {folder}: {kind.__name__} on {record.backbone['name']}")
    model = ["--model", class_path(kind)]
    model += [f"--model.{name}={_written(value)}" for name, value in chosen.items()]
    place = _behind_files(options)
    return [*options[:place], *model, *options[place:]]


def entry_of(folder: Path, options: Namespace) -> dict[str, Any]:
    """What a checkpoint would say of its data; and where inputs are cut, filled into the data's options, in place.

    Args:
        folder: The folder.
        options: The parsed options of the command.
    """
    from dylora.deploy.adapter_folder import read_folder

    record, _ = read_folder(folder)
    _cut_alike(record, options)
    return {KEY: {"task": record.task, "labels": record.labels}}


def load_folder(module: object, folder: Path) -> None:
    """Put a folder into the command's module.

    Raises:
        InputError: If the folder does not fit it.
    """
    if not isinstance(module, EveryRankModule):
        fix = "leave --model out: the folder says it"
        raise InputError("--model", "a module that is evaluated at every rank", type(module).__name__, fix)
    from dylora.deploy.module_of_folder import put_folder_into

    put_folder_into(module, folder)


def _cut_alike(record: "AdapterRecord", options: Namespace) -> None:
    """Cut inputs where they were cut in training, where the data does not say it."""
    data = arguments(options, "data")
    defaults = options_of(class_at(options.data.class_path)) if options.get("data") else {}
    for name, value in record.limits.items():
        if name in data and data[name] == defaults.get(name) != value:
            data[name] = value
            say(f"data.{name}: {value}, as in training")


def _written(value: Any) -> str:  # noqa: ANN401
    """A value as the command line has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _behind_files(options: Sequence[str]) -> int:
    """The place behind the last configuration file."""
    files = [place + 2 for place, option in enumerate(options) if option in ("--config", "-c")]
    files += [place + 1 for place, option in enumerate(options) if option.startswith("--config=")]
    return max(files, default=0)
