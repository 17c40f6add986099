"""What a user sees of all ranks: a row an epoch, curves and pictures on TensorBoard, files in the run's folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from dylora.callbacks.rank_pictures import Record, by_rank, run_pictures, summary_of
from dylora.callbacks.shown_options import shown_hyperparameters
from dylora.modules.base import EveryRankModule
from dylora.processes import process_rank
from dylora.rank_curve.choice import RankChoice
from dylora.rank_curve.evidence import choice_if_any, choice_record, intervals_if_any
from dylora.rank_curve.kept import KeptOutcomes
from dylora.rank_curve.picture import save_picture
from dylora.rank_curve.table import marked_row, table_header, table_row
from dylora.runs.folders import write_json
from dylora.runs.outcomes_file import LAST_OUTCOMES_FILE, OUTCOMES_FILE, read_outcomes, write_outcomes
from dylora.terminal import HEADING, painted
from dylora.whole_files import write_whole


class RankCurves(Callback):
    """Show every rank after each validation, and keep the history.

    In the run's folder it keeps `rank_metrics.json` and, of the best epoch so far, `rank_curve.png` and each example's
    outcome at each rank, `outcomes.npz`; those of the last epoch, where it is another, in `outcomes_last.npz`. When
    training ends, the rank that these choose is added to the first two, and the other pictures are written as well. On
    TensorBoard it shows three pictures an epoch (every rank over the epochs, the rank curve, an epoch x rank map) and,
    at the end, the hyper-parameters with the best epoch's area under the rank curve.

    Args:
        folder: The run's folder; it must exist.
        hyperparameters: The run's options, flat, plain values; some of them are listed on TensorBoard.

    Attributes:
        cut_figures: The monitored metric at each rank under each cut that was compared with the best epoch.
    """

    def __init__(self, folder: Path, hyperparameters: Mapping[str, Any]) -> None:
        self.folder = folder
        self.hyperparameters = dict(hyperparameters)
        self.history: list[Record] = []
        self.choice: RankChoice | None = None
        self.cut_figures: dict[str, dict[int, float]] = {}
        self._chosen: Record | None = None
        self._seconds, self._started = 0.0, perf_counter()
        self._resumed: Path | None = None

    def state_dict(self) -> dict[str, Any]:
        """The history, so that a resumed run keeps the epochs before."""
        return {"history": json.dumps(self.history), "seconds": self._time()}

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note the run that is resumed, the folder around the checkpoint's."""
        self._resumed = Path(trainer.ckpt_path).parent.parent if trainer.ckpt_path else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history back, and the outcomes of its best and its last epoch."""
        self.history = json.loads(state_dict["history"])
        self._seconds = float(state_dict.get("seconds", 0.0))  # files of earlier versions do not have it
        for name in (OUTCOMES_FILE, LAST_OUTCOMES_FILE):
            before, here = (self._resumed or self.folder) / name, self.folder / name
            if process_rank() == 0 and before.is_file() and self.folder.is_dir() and not here.exists():
                read_outcomes(before)  # refuses a damaged one
                write_whole(here, before.read_bytes())

    @override
    @rank_zero_only
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse another kind of module, and look at the clock."""
        _every_rank(pl_module)
        self._started = perf_counter()

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch: its row, its pictures, the file."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        module = _every_rank(pl_module)
        position = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        self.history.append({**position, "score": _score(module), **_figures(module)})
        self._print_row(trainer, module)
        self._draw(trainer, module)
        self._keep(self.history[-1], module)

    @rank_zero_only
    def complete(self, step: int, module: EveryRankModule) -> None:
        """Replace the figures of an epoch that was evaluated at some ranks by those of the module's last evaluation.

        The score that it was compared with the other epochs by stays.

        Args:
            step: The epoch's optimizer step.
            module: Evaluated at every rank, with the weights of that epoch.
        """
        record = next(record for record in reversed(self.history) if record["step"] == step)
        record.update(_figures(module))
        self._keep(record, module)

    @override
    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the rank of the best epoch by its outcomes."""
        module, kept = _every_rank(pl_module), self.best_outcomes()
        self.choice = choice_if_any(kept, module.tolerance)
        if self.choice is not None and kept is not None:
            self._chosen = choice_record(self.choice, module.tolerance, kept.examples)
            self._write(module)

    def best_outcomes(self) -> KeptOutcomes | None:
        """The outcomes of the best epoch; None where none were kept. In the first process only."""
        path = self.folder / OUTCOMES_FILE
        if not (self.history and path.is_file()):
            return None
        found = read_outcomes(path)
        return found.kept if found.step == self.best["step"] else None

    @override
    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the best epoch with all that is known of it, and list the hyper-parameters with its figure."""
        if not self.history:
            return
        module = _every_rank(pl_module)
        pictures = run_pictures(self.history, module, self.best, self.choice, self.cut_figures.get("svd"))
        for name, figure in pictures.items():
            save_picture(figure, self.folder / f"{name}.png", with_svg=True)
        if self.cut_figures:
            self._write(module)
        if logger := _tensorboard(trainer):
            logger.experiment.add_figure("rank_curve/best_epoch", pictures["rank_curve"], trainer.global_step)
            shown = shown_hyperparameters(self.hyperparameters)
            area = {f"best/{module.monitor}/aurac": self.best["aurac"]}
            logger.log_hyperparams(shown, area, step=trainer.global_step)

    @property
    def best(self) -> Record:
        """The epoch of the largest area under the monitored rank curve, the first of several.

        Compared in fp32, as the checkpoint callback does, so that both mean the same epoch.
        """
        return max(self.history, key=lambda record: np.nan_to_num(np.float32(record["score"]), nan=-np.inf))

    def _keep(self, record: Record, module: EveryRankModule) -> None:
        """Write an epoch's outcomes, and the file of all figures."""
        if module.outcomes is not None:
            name = OUTCOMES_FILE if record is self.best else LAST_OUTCOMES_FILE
            write_outcomes(self.folder / name, module.outcomes, record["step"])
        self._write(module)

    def _print_row(self, trainer: Trainer, module: EveryRankModule) -> None:
        values, summary = module.results[module.monitor], module.summary()
        row = table_row(f"epoch {self.history[-1]['epoch']}", values, summary)
        lines = [marked_row(row, list(values), summary.chosen_rank)]
        if len(self.history) == 1:
            lines.insert(0, painted(table_header(module.monitor, sorted(values)), HEADING))
        bar = trainer.progress_bar_callback
        if isinstance(bar, ProgressBar) and not getattr(bar, "is_disabled", False):  # one that is off prints nothing
            bar.print("\n".join(lines))
        else:
            print("\n".join(lines), flush=True)

    def _draw(self, trainer: Trainer, module: EveryRankModule) -> None:
        record, logger = self.history[-1], _tensorboard(trainer)
        if logger is None and record is not self.best:
            return
        pictures = run_pictures(self.history, module, record)
        if record is self.best:
            save_picture(pictures["rank_curve"], self.folder / "rank_curve.png")
        if logger is not None:
            for name, figure in pictures.items():
                logger.experiment.add_figure(name, figure, trainer.global_step)

    def _time(self) -> float:
        return self._seconds + perf_counter() - self._started

    def _write(self, module: EveryRankModule) -> None:
        best = {"checkpoint": "checkpoints/best.ckpt"}
        chosen = {"chosen": {**best, "step": self.best["step"], **self._chosen}} if self._chosen else {}
        cuts = {cut: {str(rank): value for rank, value in by.items()} for cut, by in self.cut_figures.items()}
        content = {
            "task": module.identity["task"],
            "method": module.method.name,
            "metric": module.monitor,
            "tolerance": module.tolerance,
            **({"epoch_ranks": list(module.epoch_ranks)} if not module.validates_every_rank else {}),
            "seconds": round(self._time(), 3),
            **chosen,
            **({"cuts_of_best": cuts} if cuts else {}),
            "best": {**best, **self.best},
            "last": {"checkpoint": "checkpoints/last.ckpt", **self.history[-1]},
            "epochs": self.history,
        }
        write_json(self.folder / "rank_metrics.json", content)


def final_table(record: Record, metric: str, choice: RankChoice | None) -> str:
    """The table of one epoch, under its heading, with the rank that its examples chose where they did."""
    values = by_rank(record["metrics"][metric])
    summary = summary_of(record)
    row = table_row(f"epoch {record['epoch']}", values, summary, chosen=str(choice.rank) if choice else None)
    marked = marked_row(row, list(values), choice.rank if choice else summary.chosen_rank)
    return f"{painted(table_header(metric, sorted(values)), HEADING)}\n{marked}"


def _score(module: EveryRankModule) -> float:
    """The area under the monitored rank curve; better when higher."""
    area = module.summary().aurac
    return area if module.higher_is_better else -area


def _figures(module: EveryRankModule) -> Record:
    """The last evaluation in plain types; ranks are strings, as JSON has them."""
    found = intervals_if_any(module.outcomes)
    known = {"intervals": {str(rank): [each.low, each.high] for rank, each in found.items()}} if found else {}
    return {**module.record(), **known}


def _every_rank(module: LightningModule) -> EveryRankModule:
    if not isinstance(module, EveryRankModule):
        raise TypeError("RankCurves needs a module that is evaluated at every rank (EveryRankModule)")
    return module


def _tensorboard(trainer: Trainer) -> TensorBoardLogger | None:
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
