"""What a training run is surrounded with: its folder, its callbacks, what is said at its end."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from dylora.callbacks.best_and_last import BestAndLast
from dylora.callbacks.final_validation import ValidateFinalWeights
from dylora.callbacks.interrupt import SaveOnInterrupt
from dylora.callbacks.rank_curves import RankCurves, final_table
from dylora.callbacks.step_seed import StepSeed
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.processes import process_rank
from dylora.runs.folders import CHECKPOINTS, CONFIG, new_run_folder

_RUN_FOLDER = "DYLORA_RUN_FOLDER"  # tells the processes that the first one starts where the run lies


class SaveConfig(SaveConfigCallback):
    """Save the resolved configuration in the run's folder."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, folder: Path) -> None:
        super().__init__(parser, config, save_to_log_dir=False)
        self.folder = folder

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write `config.yaml`."""
        self.parser.save(self.config, str(self.folder / CONFIG), skip_none=False, overwrite=True)


class ProgressBar(TQDMProgressBar):
    """The bar without the version number, which the run's folder says already."""

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands behind the bar."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        return items


def run_folder(root: Path, name: str) -> Path:
    """A new folder for the run; the same one in all processes of it.

    Raises:
        InputError: If it cannot be created.
    """
    if process_rank() == 0:
        os.environ[_RUN_FOLDER] = str(new_run_folder(root, name))
    # Processes that were not started by the first one do not know its folder, nor write to any.
    return Path(os.environ.get(_RUN_FOLDER, root / name / "other-process"))


def check_end(trainer: Any) -> None:  # noqa: ANN401
    """Refuse a training without a last step: the learning rate falls to zero over all steps.

    Args:
        trainer: The trainer's options. Lightning takes `max_epochs` null for no end where `max_time` is given.

    Raises:
        InputError: If neither the epochs nor the steps have an end.
    """
    endless = trainer.max_epochs == -1 or (trainer.max_epochs is None and trainer.max_time is not None)
    if endless and trainer.max_steps in (-1, None) and not trainer.fast_dev_run:
        given = f"{'null' if trainer.max_epochs is None else trainer.max_epochs}, which has no end"
        allowed = "a number of epochs, for the learning rate falls to zero over all steps"
        fix = "give --trainer.max_epochs or --trainer.max_steps; --trainer.max_time may end it earlier"
        raise InputError("--trainer.max_epochs", allowed, given, fix)


def fit_callbacks(
    folder: Path, module: EveryRankModule, seed: int, hyperparameters: Mapping[str, Any], checkpoints: bool
) -> list[Callback]:
    """The callbacks of every training run, in the order in which they act."""
    callbacks: list[Callback] = [StepSeed(seed), RankCurves(folder, hyperparameters), ValidateFinalWeights()]
    if checkpoints:
        callbacks.append(SaveOnInterrupt(folder / CHECKPOINTS / "last.ckpt"))
        callbacks.append(BestAndLast(folder / CHECKPOINTS, module.monitor, module.higher_is_better))
    return callbacks


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as `a/b` keys with plain values, as TensorBoard lists them.

    >>> flatten({"model": {"alpha": 16, "targets": ["q", "v"]}, "seed": 1})
    {'model/alpha': 16, 'model/targets': "['q', 'v']", 'seed': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


def closing_words(folder: Path, trainer: Trainer, module: EveryRankModule) -> str:
    """The best epoch's table, the chosen rank, where the run lies and what can be done with it."""
    curves = next(callback for callback in trainer.callbacks if isinstance(callback, RankCurves))  # type: ignore[attr-defined]
    lines = []
    if curves.history:
        best = curves.best
        chosen, value = best["chosen_rank"], best["metrics"][module.monitor][str(best["chosen_rank"])]
        reason = f"the smallest within {module.tolerance:.2%} of the best rank, {best['best_rank']}"
        lines += ["", f"Best epoch ({module.monitor}, by the area under the rank curve):"]
        lines += [final_table(best, module.monitor)]
        lines += [f"Chosen rank: {chosen} ({module.monitor} {value:.4f}; {reason})"]
    lines += [f"Run: {folder}", f"Any rank:   python -m dylora validate --config {folder / CONFIG} --rank all"]
    lines += [f"Dashboards: tensorboard --logdir {folder.parents[1]}"]
    return "\n".join(lines)


def pruning_words(report: Mapping[str, Any]) -> str:
    """The rank of each pruned matrix, and how much of the model is left."""
    lines = [f"{'rank':>6}{'of':>6}{'parameters':>12}  matrix"]
    lines += [f"{m['rank']:>6}{m['components']:>6}{m['parameters']:>12,}  {m['name']}" for m in report["matrices"]]
    shares = f"{report['size']:.2%} (expected {report['expected_size']:.2%}, target {report['target']:.2%})"
    count = f"{report['parameters']:,} parameters, {report['dense_parameters']:,} before"
    return "\n".join(
        ["", "Matrices in checkpoints/last.ckpt:", *lines, f"Left of them: {shares}; the model has {count}"]
    )


def interrupted_words(folder: Path, trainer: Trainer) -> str:
    """Where an interrupted run stands and how it goes on."""
    checkpoint = folder / CHECKPOINTS / "last.ckpt"
    where = f"Interrupted in epoch {trainer.current_epoch + 1} after step {trainer.global_step}."
    if not checkpoint.is_file():
        return f"{where} Nothing was saved yet."
    return f"{where} Go on with:\npython -m dylora fit --config {folder / CONFIG} --ckpt_path {checkpoint}"
