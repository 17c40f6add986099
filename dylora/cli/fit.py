"""What a training run is surrounded with: its folder, its callbacks, what is said at its end."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from typing_extensions import override

from dylora.adapters.parameters import count_parameters
from dylora.callbacks.best_and_last import BestAndLast
from dylora.callbacks.compare_cuts import CompareCuts, cut_words
from dylora.callbacks.every_rank_at_the_end import EveryRankAtTheEnd
from dylora.callbacks.final_validation import ValidateFinalWeights
from dylora.callbacks.finite_steps import FiniteSteps
from dylora.callbacks.interrupt import SaveOnInterrupt
from dylora.callbacks.rank_curves import RankCurves, final_table
from dylora.callbacks.step_seed import StepSeed
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.processes import process_rank, say
from dylora.rank_curve.choice import RankChoice
from dylora.runs.checkpoint_io import WholeCheckpoints
from dylora.runs.folders import CHECKPOINTS, CONFIG, new_run_folder, sweep_place
from dylora.whole_files import UnwritableError, unwritable, write_whole

LoggerOption = Logger | Iterable[Logger] | bool | None

_RUN_FOLDER = "DYLORA_RUN_FOLDER"  # tells the processes that the first one starts where the run lies


class SaveConfig(SaveConfigCallback):
    """Save the resolved configuration in the run's folder."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, folder: Path) -> None:
        super().__init__(parser, config, save_to_log_dir=False)
        self.folder = folder

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write it again if it is gone: a checkpoint beside it is of use with it alone."""
        if trainer.is_global_zero and not (self.folder / CONFIG).is_file():
            self.save_config(trainer, pl_module, "fit")

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write `config.yaml`; where a resumed run came from is none of its options."""
        config = self.config.clone()
        config.ckpt_path = None
        config.pop("init_from", None)
        write_whole(self.folder / CONFIG, self.parser.dump(config, skip_none=False))


class SayOpening(Callback):
    """Say what is trained, once nothing is left to refuse.

    Args:
        folder: The run's folder; None for a trial.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it."""
        say(opening_words(self.folder, pl_module))


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
    folder: Path, module: LightningModule, seed: int, hyperparameters: Mapping[str, Any], checkpoints: bool
) -> list[Callback]:
    """The callbacks of every training run, in the order in which they act.

    Args:
        folder: The run's folder.
        module: What is trained; one that is not evaluated at every rank has its last epoch kept alone.
        seed: The run's seed.
        hyperparameters: What to list beside the figures.
        checkpoints: Whether the user wants any.
    """
    finite = FiniteSteps(folder / CHECKPOINTS)
    if not isinstance(module, EveryRankModule):
        last = ModelCheckpoint(folder / CHECKPOINTS, "last", enable_version_counter=False)
        return [finite, *([SaveOnInterrupt(folder / CHECKPOINTS / "last.ckpt"), last] if checkpoints else [])]
    curves = RankCurves(folder, hyperparameters)
    callbacks: list[Callback] = [StepSeed(seed), finite, EveryRankAtTheEnd(curves), curves, ValidateFinalWeights()]
    if checkpoints and sweep_place(folder) is None:  # a sweep says itself which cuts it evaluates
        callbacks.append(CompareCuts(curves))
    if checkpoints:
        callbacks.append(SaveOnInterrupt(folder / CHECKPOINTS / "last.ckpt"))
        callbacks.append(BestAndLast(folder / CHECKPOINTS, module.monitor, module.higher_is_better))
    return callbacks


def room_for_checkpoints(trainer: Any, module: LightningModule) -> int:  # noqa: ANN401 (its options)
    """Bytes that the checkpoints of a run take: the best, the last, and a new one before an old one goes.

    Each has what is trained with two moments, which AdamW keeps; a mebibyte is for all else.
    """
    if trainer.enable_checkpointing is False or trainer.fast_dev_run:
        return 0
    trained = sum(each.numel() * each.element_size() for each in module.parameters() if each.requires_grad)
    return 2**20 + 3 * 3 * trained


def as_list(option: Any) -> list[Any]:  # noqa: ANN401 (Lightning's open union)
    """What Lightning takes as none, one or several, as a new list."""
    return [] if option is None else list(option) if isinstance(option, list | tuple) else [option]


def with_whole_checkpoints(chosen: Any) -> list[Any]:  # noqa: ANN401 (Lightning's open union)
    """The trainer's plugins: the user's, and this project's way to write checkpoints unless they bring one."""
    plugins = as_list(chosen)
    if any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        return plugins
    return [*plugins, WholeCheckpoints()]


def run_loggers(chosen: LoggerOption, folder: Path) -> LoggerOption:
    """The loggers of a training run: the user's, or none; TensorBoard in the run's folder if nothing is said.

    Args:
        chosen: The option `trainer.logger`.
        folder: The run's folder.
    """
    if chosen is None or chosen is True:
        return TensorBoardLogger(folder.parents[1], folder.parent.name, folder.name, default_hp_metric=False)
    return chosen


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as `a/b` keys with plain values, as TensorBoard lists them; those of a class beside its name.

    >>> flatten({"model": {"class_path": "M", "init_args": {"alpha": 16, "targets": ["q", "v"]}}, "seed": 1})
    {'model/class_path': 'M', 'model/alpha': 16, 'model/targets': "['q', 'v']", 'seed': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, prefix if key == "init_args" else f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


def opening_words(folder: Path | None, module: LightningModule) -> str:
    """What is trained, and where the run lies; None for a trial."""
    place = f"Run {folder}" if folder else "Trial (fast_dev_run), nothing of it is kept"
    if not isinstance(module, EveryRankModule):
        return f"{place}: {type(module).__name__}"
    about = f"{module.identity['task']} on {module.identity['backbone']['name']}"
    return f"{place}: {about}\nParameters: {count_parameters(module.model)}"


def closing_words(folder: Path, trainer: Trainer, module: LightningModule) -> str:
    """The best epoch's table, the chosen rank, where the run lies and what can be done with it."""
    lines = _best_epoch(trainer, module) if isinstance(module, EveryRankModule) else []
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    lines += [words for each in callbacks if isinstance(each, FiniteSteps) and (words := each.words())]
    lines += [f"Run: {folder}"]
    if isinstance(module, EveryRankModule):
        lines += [f"Any rank:   python -m dylora validate --config {folder / CONFIG} --rank all"]
    lines += _dashboards(folder, trainer)
    return "\n".join(lines)


def _best_epoch(trainer: Trainer, module: EveryRankModule) -> list[str]:
    curves = next(callback for callback in trainer.callbacks if isinstance(callback, RankCurves))  # type: ignore[attr-defined]
    if not curves.history:
        return []
    best, choice = curves.best, curves.choice
    chosen = best["chosen_rank"] if choice is None else choice.rank
    value = f"{module.monitor} {best['metrics'][module.monitor][str(chosen)]:.4f}"
    reason = f"the smallest within {module.tolerance:.2%} of the best rank, {best['best_rank']}, by the figures alone"
    words = f"Chosen rank: {chosen} ({value}; {reason})" if choice is None else _evidence(choice, value)
    return [
        "",
        f"Best epoch ({module.monitor}, by the area under the rank curve):",
        final_table(best, module.monitor, choice),
        words,
        *_cuts(trainer),
    ]


def _cuts(trainer: Trainer) -> list[str]:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    compared = next((callback for callback in callbacks if isinstance(callback, CompareCuts)), None)
    return cut_words(compared.results, compared.skipped) if compared else []


def _evidence(choice: RankChoice, value: str) -> str:
    """The chosen rank, with what the validation examples say of it."""
    metric = choice.evidence[choice.rank].metric
    interval = f"95 % interval {metric.low:.4f} to {metric.high:.4f}"
    more = "" if choice.certain else "\nEach rank's interval: python -m dylora choose"
    return f"Chosen rank: {choice.rank} ({value}; {interval}). {choice.statement}{more}"


def _dashboards(folder: Path, trainer: Trainer) -> list[str]:
    """Where the loggers wrote."""
    lines = []
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            ours = Path(logger.log_dir) == folder
            lines.append(f"Dashboards: tensorboard --logdir {folder.parents[1] if ours else logger.log_dir}")
        elif isinstance(logger, CSVLogger):
            lines.append(f"Scalars:    {logger.log_dir}/metrics.csv")
    return lines


def interrupted_words(folder: Path, trainer: Trainer) -> str:
    """Where an interrupted run stands and how it goes on."""
    checkpoint = folder / CHECKPOINTS / "last.ckpt"
    where = f"Interrupted in epoch {trainer.current_epoch + 1} after step {trainer.global_step}."
    if not checkpoint.is_file():
        return f"{where} Nothing was saved yet."
    return f"{where} Go on with:\n{_resume(folder, checkpoint)}"


def stopped_by_the_disk(folder: Path, error: Exception) -> UnwritableError:
    """What is said of a run that could not write to its folder: which checkpoint is whole."""
    known = error if isinstance(error, UnwritableError) else unwritable(folder, error)
    checkpoint = folder / CHECKPOINTS / "last.ckpt"
    words = "free some space and start again, nothing was saved yet"
    if checkpoint.is_file():
        words = f"{checkpoint} is whole: free some space, then {_resume(folder, checkpoint)}"
    return known.with_fix(words)


def _resume(folder: Path, checkpoint: Path) -> str:
    return f"python -m dylora fit --config {folder / CONFIG} --ckpt_path {checkpoint}"
