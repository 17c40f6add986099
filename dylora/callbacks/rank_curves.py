"""What a user sees of all ranks: a row an epoch, curves and pictures on TensorBoard, files in the run's folder."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from dylora.modules.base import EveryRankModule
from dylora.processes import process_rank
from dylora.rank_curve.choice import RankChoice
from dylora.rank_curve.evidence import choice_if_any, choice_record
from dylora.rank_curve.kept import KeptOutcomes
from dylora.rank_curve.picture import draw_heat_map, draw_rank_curve, save_picture
from dylora.rank_curve.summary import RankSummary
from dylora.rank_curve.table import table_header, table_row
from dylora.runs.folders import write_json
from dylora.runs.outcomes_file import LAST_OUTCOMES_FILE, OUTCOMES_FILE, read_outcomes, write_outcomes
from dylora.whole_files import write_whole

Record = dict[str, Any]


class RankCurves(Callback):
    """Show every rank after each validation, and keep the history.

    In the run's folder it keeps `rank_metrics.json` and, of the best epoch so far, `rank_curve.png` and each example's
    outcome at each rank, `outcomes.npz`; those of the last epoch, where it is another, in `outcomes_last.npz`. When
    training ends, the rank that these choose is added to the first two. On
    TensorBoard it writes a chart with all ranks overlaid, the rank curve and an epoch x rank heat map as pictures, and
    the hyper-parameters with the best epoch's figures.

    Args:
        folder: The run's folder; it must exist.
        hyperparameters: What to list on TensorBoard beside the figures; flat, plain values.
    """

    def __init__(self, folder: Path, hyperparameters: Mapping[str, Any]) -> None:
        self.folder = folder
        self.hyperparameters = dict(hyperparameters)
        self.history: list[Record] = []
        self.choice: RankChoice | None = None
        self._resumed: Path | None = None

    def state_dict(self) -> dict[str, Any]:
        """The history, so that a resumed run keeps the epochs before."""
        return {"history": json.dumps(self.history)}

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note the run that is resumed, the folder around the checkpoint's."""
        self._resumed = Path(trainer.ckpt_path).parent.parent if trainer.ckpt_path else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history back, and the outcomes of its best and its last epoch."""
        self.history = json.loads(state_dict["history"])
        for name in (OUTCOMES_FILE, LAST_OUTCOMES_FILE):
            before, here = (self._resumed or self.folder) / name, self.folder / name
            if process_rank() == 0 and before.is_file() and self.folder.is_dir() and not here.exists():
                read_outcomes(before)  # refuses a damaged one
                write_whole(here, before.read_bytes())

    @rank_zero_only
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay out the charts that overlay all ranks."""
        module = _every_rank(pl_module)
        if logger := _tensorboard(trainer):
            charts = {name: ["Multiline", [rf"^val/{name}/rank_\d+$"]] for name in (*module.metric_names, "loss")}
            logger.experiment.add_custom_scalars({"every rank": charts})

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch: its row, its pictures, the file."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        module = _every_rank(pl_module)
        self.history.append(_record(trainer, module))
        self._print_row(trainer, module)
        self._draw(trainer, module)
        if module.outcomes is not None:
            name = OUTCOMES_FILE if self.history[-1] is self.best else LAST_OUTCOMES_FILE
            write_outcomes(self.folder / name, module.outcomes, self.history[-1]["step"])
        self._write(module)

    @override
    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the rank of the best epoch by its outcomes, and draw its curve with their intervals."""
        module, kept = _every_rank(pl_module), self.best_outcomes()
        self.choice = choice_if_any(kept, module.tolerance)
        if self.choice is None or kept is None:
            return
        values, summary = _by_rank(self.best["metrics"][module.monitor]), summary_of(self.best)
        title = f"{module.identity['task']}, epoch {self.best['epoch']}"
        curve = draw_rank_curve(values, module.monitor, title, summary, self.choice)
        save_picture(curve, self.folder / "rank_curve.png")
        self._write(module, choice_record(self.choice, module.tolerance, kept.examples))

    def best_outcomes(self) -> KeptOutcomes | None:
        """The outcomes of the best epoch; None where none were kept. In the first process only."""
        path = self.folder / OUTCOMES_FILE
        if not (self.history and path.is_file()):
            return None
        found = read_outcomes(path)
        return found.kept if found.step == self.best["step"] else None

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """List the hyper-parameters with the best epoch's figures."""
        if self.history and (logger := _tensorboard(trainer)):
            metric = _every_rank(pl_module).monitor
            best = self.best
            figures = {f"best/{metric}/rank_{rank}": value for rank, value in best["metrics"][metric].items()}
            figures |= {f"best/{metric}/{key}": best[key] for key in ("mean", "aurac", "best_rank", "chosen_rank")}
            logger.log_hyperparams(self.hyperparameters, figures, step=trainer.global_step)

    @property
    def best(self) -> Record:
        """The epoch of the largest area under the monitored rank curve, the first of several.

        Compared in fp32, as the checkpoint callback does, so that both mean the same epoch.
        """
        return max(self.history, key=lambda record: np.nan_to_num(np.float32(record["score"]), nan=-np.inf))

    def _print_row(self, trainer: Trainer, module: EveryRankModule) -> None:
        values = module.results[module.monitor]
        lines = [table_row(f"epoch {self.history[-1]['epoch']}", values, module.summary())]
        if len(self.history) == 1:
            lines.insert(0, table_header(module.monitor, sorted(values)))
        bar = trainer.progress_bar_callback
        show = bar.print if isinstance(bar, ProgressBar) else partial(print, flush=True)
        show("\n".join(lines))

    def _draw(self, trainer: Trainer, module: EveryRankModule) -> None:
        metric, record = module.monitor, self.history[-1]
        title = f"{module.identity['task']}, epoch {record['epoch']}"
        curve = draw_rank_curve(module.results[metric], metric, title, module.summary())
        if record is self.best:
            save_picture(curve, self.folder / "rank_curve.png")
        if logger := _tensorboard(trainer):
            epochs = [_by_rank(past["metrics"][metric]) for past in self.history]
            logger.experiment.add_figure("rank_curve", curve, trainer.global_step)
            logger.experiment.add_figure("epoch_by_rank", draw_heat_map(epochs, metric, title), trainer.global_step)

    def _write(self, module: EveryRankModule, chosen: Record | None = None) -> None:
        content = {
            "task": module.identity["task"],
            "method": module.method.name,
            "metric": module.monitor,
            "tolerance": module.tolerance,
            **(
                {"chosen": {"checkpoint": "checkpoints/best.ckpt", "step": self.best["step"], **chosen}}
                if chosen
                else {}
            ),
            "best": {"checkpoint": "checkpoints/best.ckpt", **self.best},
            "last": {"checkpoint": "checkpoints/last.ckpt", **self.history[-1]},
            "epochs": self.history,
        }
        write_json(self.folder / "rank_metrics.json", content)


def final_table(record: Record, metric: str, choice: RankChoice | None) -> str:
    """The table of one epoch, under its heading, with the rank that its examples chose where they did."""
    values = _by_rank(record["metrics"][metric])
    chosen = str(choice.rank) if choice else None
    row = table_row(f"epoch {record['epoch']}", values, summary_of(record), chosen=chosen)
    return f"{table_header(metric, sorted(values))}\n{row}"


def summary_of(record: Record) -> RankSummary:
    """The summary that an epoch's record holds."""
    return RankSummary(**{key: record[key] for key in ("mean", "aurac", "best_rank", "best", "chosen_rank")})


def _record(trainer: Trainer, module: EveryRankModule) -> Record:
    """One epoch in plain types; ranks are strings, as JSON has them."""
    summary = module.summary()
    score = summary.aurac if module.higher_is_better else -summary.aurac
    position = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
    return {**position, "score": score, **module.record()}


def _by_rank(values: Mapping[str, float]) -> dict[int, float]:
    return {int(rank): value for rank, value in values.items()}


def _every_rank(module: LightningModule) -> EveryRankModule:
    if not isinstance(module, EveryRankModule):
        raise TypeError("RankCurves needs a module that is evaluated at every rank (EveryRankModule)")
    return module


def _tensorboard(trainer: Trainer) -> TensorBoardLogger | None:
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
