"""The command `fit`."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI

from dylora.cli.fit import (
    SaveConfig,
    SayOpening,
    check_end,
    closing_words,
    fit_callbacks,
    flatten,
    interrupted_words,
    stopped_by_the_disk,
)
from dylora.cli.initial import start_from
from dylora.cli.trainer_options import check_strategy, trainer_error
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule, check_precision
from dylora.processes import process_rank, say
from dylora.runs.folders import write_json
from dylora.signals import INTERRUPTED
from dylora.whole_files import is_of_the_disk


class FitCommand(LightningCLI):
    """Lightning's CLI with training runs that never overwrite one another.

    Attributes:
        folder: The run's folder, once it is there.
    """

    folder: Path | None
    _trial: TemporaryDirectory[str] | None
    _first_step: int

    def fit(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Train; afterwards show the best epoch's table and where the run lies."""
        assert self.folder is not None
        try:
            with _quiet_writers():
                self.trainer.fit(model, **options)
        except SystemExit:
            if not self._has_trained():
                raise
            say(interrupted_words(self.folder, self.trainer))
            sys.exit(INTERRUPTED)
        except Exception as error:
            if is_of_the_disk(error) or self._has_lost_its_folder(error):
                raise stopped_by_the_disk(self.folder, error) from error
            if isinstance(error, ValueError | TypeError):
                raise trainer_error(error, self.config_init["fit"].trainer) or error from error
            raise
        if isinstance(model, EveryRankModule) and (report := model.method.report(model.model)):
            say(model.method.report_text(report))
            if self.trainer.is_global_zero:
                content = {"checkpoint": "checkpoints/last.ckpt", **report}
                write_json(self.folder / f"{model.method.name}.json", content)
        if not self._trial:
            say(closing_words(self.folder, self.trainer, model))

    def _has_trained(self) -> bool:
        """Whether any step was done, by this run and not by the one that it resumes."""
        trainer = getattr(self, "trainer", None)
        return trainer is not None and trainer.global_step > self._first_step

    def _has_lost_its_folder(self, error: Exception) -> bool:
        """Whether the run's folder has gone, without which a logger fails; other processes have none."""
        assert self.folder is not None
        return isinstance(error, OSError) and process_rank() == 0 and not self.folder.is_dir()

    def run_name(self) -> str:
        """Name of the folder that runs of this kind share: what the data calls it, or the model's class."""
        return str(getattr(self.datamodule, "run_name", type(self.model).__name__))

    def _check_training(self, options: Any) -> None:  # noqa: ANN401
        """Refuse what cannot be trained, before anything is written."""
        if isinstance(self.model, EveryRankModule):
            options.rank_sampling.bind_to(self.model)
            check_precision(str(options.trainer.precision))
            check_end(options.trainer)
            check_strategy(options.trainer.strategy)

    def _root_of_runs(self, trainer: Any) -> Path:  # noqa: ANN401
        """The folder of all runs; for a trial a temporary one, so that it is never taken for the newest run."""
        if not trainer.fast_dev_run:
            return Path(trainer.default_root_dir)
        self._trial = TemporaryDirectory(prefix="dylora-")
        return Path(self._trial.name)

    def _fit_callbacks(self, folder: Path) -> list[Any]:
        options, parsed = self.config_init["fit"], self.config["fit"]
        named = {key: parsed[key].as_dict() for key in ("model", "data", "rank_sampling") if parsed[key]}
        checkpoints = options.trainer.enable_checkpointing is not False
        callbacks: list[Any] = [SaveConfig(self._parser("fit"), parsed, folder=folder)]
        callbacks.append(SayOpening(None if self._trial else folder))
        callbacks += fit_callbacks(folder, self.model, int(options.seed_everything), flatten(named), checkpoints)
        return [*callbacks, options.rank_sampling] if isinstance(self.model, EveryRankModule) else callbacks

    def _start_from(self, place: str) -> None:
        if self._get(self.config, "ckpt_path"):
            raise InputError("--init_from", "left out with --ckpt_path", place, "give one of the two")
        if not isinstance(self.model, EveryRankModule):
            allowed = f"left out for {type(self.model).__name__}, which has no ranks"
            raise InputError("--init_from", allowed, place, "leave it out")
        say(start_from(self.model, place))


@contextmanager
def _quiet_writers() -> Iterator[None]:
    """No traceback of TensorBoard's thread where the disk is full: it raises the same again in the main thread."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not isinstance(args.exc_value, OSError):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
