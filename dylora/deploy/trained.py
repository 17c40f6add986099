"""A trained module built anew from its run's configuration and its checkpoint, without its data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch import LightningModule

from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.runs.checkpoints import KEY, read_checkpoint
from dylora.runs.folders import CHECKPOINTS, CONFIG, ROOT, checkpoint_of, newest_run


@dataclass(frozen=True)
class Trained:
    """A checkpoint of a run and the module that it belongs to.

    Attributes:
        run: The run's folder.
        checkpoint: The checkpoint's file.
        step: The optimizer step that it was written at.
        module: The module with the trained weights, in evaluation mode.
        record: What the checkpoint says that it belongs to.
    """

    run: Path
    checkpoint: Path
    step: int
    module: EveryRankModule
    record: dict[str, Any]


def load_trained(source: Path | None) -> Trained:
    """Build the module of a run, or of one of its checkpoints.

    Args:
        source: A run's folder, or a checkpoint in one; None for the newest run under `logs/`.

    Raises:
        InputError: If there is none, its configuration is missing, or it is of a module without ranks.
    """
    source = newest_run(Path(ROOT)) if source is None else source
    checkpoint = checkpoint_of(source) if source.is_dir() else source
    content, run = read_checkpoint(checkpoint), checkpoint.parent.parent
    module = _build(run, content.get(KEY, {}).get("task"))
    module.on_load_checkpoint(content)
    module.load_state_dict(content["state_dict"], strict=False)
    return Trained(run, checkpoint, int(content["global_step"]), module.eval(), content[KEY])


def _build(run: Path, task: str | None) -> EveryRankModule:
    path = run / CONFIG
    if not path.is_file():
        given = f"none in {str(run)!r}"
        raise InputError("RUN", f"a run with {CHECKPOINTS}/ and {CONFIG}", given, "give a run's folder or checkpoint")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
    if task is not None:
        config.setdefault("init_args", {}).setdefault("task", task)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=LightningModule)
    try:
        module = parser.instantiate_classes(parser.parse_object({"model": config})).model
    except ArgumentError as error:
        raise InputError(str(path), "a configuration of this version", str(error), "train again") from error
    if not isinstance(module, EveryRankModule) or not module.method.has_adapters:
        given = module.method.name if isinstance(module, EveryRankModule) else type(module).__name__
        raise InputError("RUN", "one with adapters", f"one of {given}", "choose another run")
    return module
