"""A module made anew from its checkpoint alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from lightning.pytorch import LightningModule
from typing_extensions import override

from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError
from dylora.runs.checkpoints import KEY, read_checkpoint
from dylora.runs.folders import CONFIG
from dylora.runs.options import CLASS, OPTIONS, RecordsOptions, class_at, rebuilt
from dylora.runs.yaml_text import read_yaml

MODULE = "module"
"""Where a checkpoint's entry says how its module was made."""


class FromCheckpoint(RecordsOptions, LightningModule):
    """Base of modules whose checkpoints say how they were made.

    Their options stand in the checkpoint's own entry and not among Lightning's hyper-parameters, so that nothing but
    `load_from_checkpoint` reads them: on the command line the options given there count.
    """

    @classmethod
    @override
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """The module of a checkpoint, with its trained weights.

        Args:
            checkpoint_path: A file that `fit` wrote.
            map_location: Device to put the module on; None leaves it on the CPU.
            hparams_file: Not used: all options are in the checkpoint.
            strict: Not used: the names of the weights are always checked.
            weights_only: Not used: a checkpoint is always read as plain types.
            **kwargs: Options in the place of those that the module was made with.

        Raises:
            InputError: If the file is damaged, of another class, or does not fit the options.
        """
        content = read_checkpoint(checkpoint_path)
        kind, options = recipe(content, checkpoint_path)
        if not issubclass(kind, cls) and not issubclass(cls, kind):
            fix = f"call {kind.__name__}.load_from_checkpoint"
            raise InputError("checkpoint_path", f"one of {cls.__name__}", f"one of {kind.__name__}", fix)
        given = {name: value for name, value in options.items() if name not in kwargs}
        chosen: type[Self] = kind if issubclass(kind, cls) else cls
        module = chosen(**{**rebuilt(given, str(checkpoint_path)), **kwargs})
        module.on_load_checkpoint(content)
        module.load_state_dict(content["state_dict"], strict=False)  # on_load_checkpoint has compared the names
        return module if map_location is None else module.to(map_location)


def recipe(content: Mapping[str, Any], path: Any) -> tuple[type[FromCheckpoint], dict[str, Any]]:  # noqa: ANN401
    """The class of a checkpoint's module and the options that it was made with, in plain types.

    Files of format 1 do not say it; there the `config.yaml` of their run does.

    Args:
        content: The checkpoint.
        path: Where it was read from.

    Raises:
        InputError: If it is none of dylora's, or its run's configuration is missing.
    """
    entry = content.get(KEY)
    if not isinstance(entry, Mapping):
        fix = "give a file that fit wrote with one of dylora's modules"
        raise InputError("checkpoint_path", "a checkpoint of dylora", f"{str(path)!r}, which is of another kind", fix)
    made = entry.get(MODULE) or _of_run(Path(str(path)), entry)
    kind = class_at(made[CLASS], str(path))
    if not issubclass(kind, FromCheckpoint):
        fix = "use a file that dylora wrote"
        raise InputError("checkpoint_path", "one of a module that is evaluated at every rank", made[CLASS], fix)
    return kind, dict(made.get(OPTIONS) or {})


def _of_run(path: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration of a checkpoint's run says of its module."""
    file = path.parent.parent / CONFIG
    try:
        content = read_yaml(file, "checkpoint_path")
    except InputError:
        content = None
    model = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(model, Mapping) or CLASS not in model:
        given = f"format {entry.get('format')}, without a {CONFIG} of today's form at {str(file)!r}"
        fix = "put its run's config.yaml there, or train again"
        raise InputError("checkpoint_path", "of a format that says how its module was made", given, fix)
    options = {"task": entry.get("task"), **(model.get(OPTIONS) or {})}
    if isinstance(options.get("adapter"), Mapping):
        options["adapter"] = {CLASS: f"{DyLoRAConfig.__module__}.DyLoRAConfig", OPTIONS: options["adapter"]}
    return {CLASS: model[CLASS], OPTIONS: options}
