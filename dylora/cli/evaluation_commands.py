"""The commands `validate`, `test` and `predict`."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI

from dylora.adapters.active_rank import rank_state
from dylora.adapters.rank_spec import parse_ranks
from dylora.callbacks.cut import CutAdapter
from dylora.callbacks.predictions import CollectPredictions, Record, write_records
from dylora.cli.evaluated_folder import is_folder
from dylora.cli.evaluation import choice_words, keep_cut, results_table, write_predictions
from dylora.cli.kept_evaluation import check_output, keep_evaluation
from dylora.data.submission import Submission
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.processes import say
from dylora.signals import INTERRUPTED
from dylora.whole_files import check_writable


class EvaluationCommands(LightningCLI):
    """Lightning's CLI with evaluation at chosen ranks of the checkpoint of a run."""

    _note: str

    def validate(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Evaluate the asked ranks on the validation split; what a cut gives at all ranks is kept in the run."""
        kind, output = self._cut(), self._get(self.config, "output")
        if output:
            check_output(Path(output))
        self._say_note()
        with _stopped_by_signals():
            self.trainer.validate(model, **options, verbose=not isinstance(model, EveryRankModule))
        if not isinstance(model, EveryRankModule):
            return
        self._say_calibration()
        say(results_table("validation", model))
        checkpoint, run = Path(self._get(self.config, "ckpt_path")), self.run_of_checkpoint()
        if kind and run and self.trainer.is_global_zero:
            say(keep_cut(run, kind, checkpoint, self.trainer.limit_val_batches, model))
        if output and self.trainer.is_global_zero:
            say(keep_evaluation(Path(output), str(checkpoint), kind, model))
        elif run is None:
            say("Not kept: a folder of dylora stays as it is; --output DIR keeps what choose needs")

    def test(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Evaluate the asked ranks on a labelled test split, show the rank validation chose, and keep the texts."""
        kind = self._cut()
        self._say_note()
        with _stopped_by_signals():
            self.trainer.test(model, **options, verbose=not isinstance(model, EveryRankModule))
        if not isinstance(model, EveryRankModule):
            return
        self._say_calibration()
        say(results_table("test", model))
        checkpoint, run = Path(self._get(self.config, "ckpt_path")), self.run_of_checkpoint()
        if run and len(rank_state(model.model).config.ranks) > 1:
            say(choice_words(run, checkpoint, kind, model))
        if self.trainer.is_global_zero and (written := model.files()):
            self._keep_texts(written)

    def _keep_texts(self, written: dict[str, list[Record]]) -> None:
        """Write what a test wrote at each rank."""
        folder = self._predictions()
        if folder is None:
            say("Texts are not kept: a folder of dylora stays as it is; --output DIR keeps them")
            return
        for path in write_records(folder, written):
            say(f"Written: {path}")

    def predict(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Write what the asked ranks predict; of another module, what its own callbacks write."""
        submission, folder = self._submission(), self._predictions()
        if folder is None:
            fix = "give --output DIR, a folder for the predictions"
            raise InputError("--output", "given for a folder of dylora, which stays as it is", "none", fix)
        collected = CollectPredictions(self._predicted_splits())
        if isinstance(model, EveryRankModule):
            check_writable("--output", folder)
            self.trainer.callbacks.append(collected)  # type: ignore[attr-defined]
        self._say_note()
        with _stopped_by_signals():
            self.trainer.predict(model, **options, return_predictions=False)
        if not self.trainer.is_global_zero or not isinstance(model, EveryRankModule):
            return
        for path in write_predictions(collected, folder, self.datamodule):
            say(f"Written: {path}")
        for path in submission.write(collected.records) if submission else ():
            say(f"Written: {path}")

    def _say_note(self) -> None:
        """Name the run that the command line did not, now that nothing is left to refuse."""
        if self._note:
            say(self._note)

    def _choose_ranks(self, options: Any) -> None:  # noqa: ANN401
        """Set the ranks to evaluate, and refuse what the model cannot do."""
        kind, model = options.get("cut"), self.model
        if isinstance(model, EveryRankModule):
            model.eval_ranks = parse_ranks(options.rank, rank_state(model.model).config.ranks)
            if kind and not model.method.has_adapters:
                given = f"{kind} with method {model.method.name}"
                raise InputError("--cut", "left out for a model without adapters", given, "leave it out")
        elif kind or options.rank != "all":
            name, given = ("--cut", kind) if kind else ("--rank", options.rank)
            allowed = f"left out for {type(model).__name__}, which has no ranks"
            raise InputError(name, allowed, given, "leave it out")

    def run_of_checkpoint(self) -> Path | None:
        """Folder of the run whose checkpoint is evaluated; None for a folder of dylora."""
        checkpoint = self._get(self.config, "ckpt_path")
        return None if is_folder(checkpoint) else Path(checkpoint).parent.parent

    def _predictions(self) -> Path | None:
        """Where texts and predictions go; None for a folder of dylora without `--output`."""
        chosen, run = self._get(self.config, "output"), self.run_of_checkpoint()
        return Path(chosen) if chosen else run / "predictions" if run else None

    def _cut(self) -> Any:  # noqa: ANN401 (checked before)
        """The cut that is asked for, once the trainer knows of it."""
        kind = self._get(self.config, "cut")
        if kind:
            callback = CutAdapter(kind, self._get(self.config, "cut_examples"))
            self.trainer.callbacks.append(callback)  # type: ignore[attr-defined]
            say(f"Cut: {kind}")
        return kind

    def _say_calibration(self) -> None:
        """What the two-sided cut was weighed with, and how the learned one was learned."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, CutAdapter) and callback.calibration:
                say(f"Cut {callback.kind}: {callback.calibration}")
            if isinstance(callback, CutAdapter) and callback.order:
                say(f"Cut {callback.kind}: {callback.order}")

    def _submission(self) -> Submission | None:
        """The leaderboard's files that are asked for, refused before any work where there are none."""
        folder, data = self._get(self.config, "submission"), self.datamodule
        if folder is None:
            return None
        if not (isinstance(self.model, EveryRankModule) and hasattr(data, "submission")):
            allowed = "left out for data that is not one of GLUE's tasks"
            raise InputError("--submission", allowed, folder, "leave it out, or choose a GLUE task")
        made: Submission = data.submission(Path(folder), self.model.eval_ranks)
        return made

    def _predicted_splits(self) -> tuple[str, ...]:
        """Names of the splits that `predict` runs over, in the order of their loaders; `predict` for other data."""
        names = getattr(self.datamodule, "split_names", None)
        return tuple(names("predict")) if names else ("predict",)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Lightning ends the process with the status of a failure; whoever carries out many runs must be able to tell."""
    try:
        yield
    except SystemExit:
        print("Interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
