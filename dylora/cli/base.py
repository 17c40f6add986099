"""The four commands on Lightning's CLI, whatever they train on."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from dylora.adapters.active_rank import rank_state
from dylora.adapters.cuts import CUTS, Cut, check_cut
from dylora.adapters.parameters import count_parameters
from dylora.adapters.rank_spec import parse_ranks
from dylora.callbacks.cut import CutAdapter
from dylora.callbacks.predictions import CollectPredictions
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.commands import COMMANDS
from dylora.cli.evaluation import choice_words, keep_cut, results_table, write_predictions
from dylora.cli.fit import (
    ProgressBar,
    SaveConfig,
    check_end,
    closing_words,
    fit_callbacks,
    flatten,
    interrupted_words,
    pruning_words,
    run_folder,
)
from dylora.cli.parser import Parser
from dylora.cli.run_arguments import EVALUATIONS
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.runs.checkpoints import read_checkpoint
from dylora.runs.folders import ROOT, write_json

_INTERRUPTED = 130


class DyLoRACLI(LightningCLI):
    """Lightning's CLI with runs that never overwrite one another and evaluation at chosen ranks.

    Args:
        arguments: The command and its options.
    """

    model: EveryRankModule
    module_class: ClassVar[type[EveryRankModule]]
    data_class: ClassVar[type[LightningDataModule]]

    def __init__(self, arguments: Sequence[str]) -> None:
        self.folder: Path | None = None
        self._trial: TemporaryDirectory[str] | None = None
        try:
            super().__init__(
                self.module_class,
                self.data_class,
                save_config_callback=None,
                trainer_defaults={"default_root_dir": ROOT, "num_sanity_val_steps": 0, "enable_model_summary": False},
                seed_everything_default=10,
                parser_class=Parser,
                parser_kwargs={
                    "prog": "dylora",
                    **{name: {"description": COMMANDS[name]} for name in self.subcommands()},
                },
                args=list(arguments),
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
        finally:
            if self._trial is not None:
                self._trial.cleanup()
            elif self.folder is not None:  # a run that failed before it wrote anything leaves no folder behind
                with contextlib.suppress(OSError):
                    self.folder.rmdir()

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The commands, and which arguments of the trainer's methods are no options."""
        never = {"model", "datamodule", "ckpt_path", "weights_only"}  # ckpt_path is added below, with help of its own
        return {
            "fit": never | {"train_dataloaders", "val_dataloaders"},
            "validate": never | {"dataloaders", "verbose"},
            "test": never | {"dataloaders", "verbose"},
            "predict": never | {"dataloaders", "return_predictions"},
        }

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the rank sampling, and links between options that must agree."""
        parser.add_lightning_class_args(RankSamplingCallback, "rank_sampling")
        parser.link_arguments("model.backbone", "data.backbone")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "rank_sampling.seed", compute_fn=int)

    def run_name(self) -> str:
        """Name of the folder that runs of this kind share."""
        raise NotImplementedError

    def predicted_splits(self) -> tuple[str, ...]:
        """Names of the splits that `predict` runs over, in the order of their loaders."""
        raise NotImplementedError

    def more_callbacks(self) -> list[Callback]:
        """Callbacks of a training run besides those that all kinds have."""
        return []

    def write_further(self, collected: CollectPredictions) -> None:
        """Write more than the predictions themselves, in the first process."""

    def run_of_checkpoint(self) -> Path:
        """Folder of the run whose checkpoint is evaluated."""
        return Path(self._get(self.config, "ckpt_path")).parent.parent

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:  # noqa: ANN401
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        text = (
            "Checkpoint to resume from."
            if subcommand == "fit"
            else "Checkpoint to evaluate; the run's best by default."
        )
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=text)
        if subcommand in EVALUATIONS:
            text = "Ranks to evaluate: one (3), several (1,4,8), a range (2-5) or all."
            parser.add_argument("--rank", type=str, default="all", help=text)
        if subcommand in ("validate", "test"):
            text = (
                "Cut the adapter to each rank in this way, whatever its scaling: "
                + ", ".join(CUTS)
                + "; null does not."
            )
            parser.add_argument("--cut", type=str | None, default=None, help=text)
        if subcommand == "predict":
            text = "Folder for the predictions, a JSON Lines file a split; null means predictions/ in the run."
            parser.add_argument("--output", type=str | None, default=None, help=text)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401
        """Parse the completed arguments; Lightning would warn that they are not those of the process."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Read the checkpoint before anything is built, so that an unusable one is refused at once.

        Lightning would take hyper-parameters from it here, over those of the command line.
        """
        if path := self.config[self.config.subcommand].ckpt_path:
            read_checkpoint(path)

    def before_instantiate_classes(self) -> None:
        """Refuse an unknown cut, and hand on a seed that was chosen at random."""
        options = self.config[self.config.subcommand]
        if kind := options.get("cut"):
            check_cut(kind)
            if options.model.method != "adapter":
                given = f"{kind} with method {options.model.method}"
                raise InputError("--cut", "left out for a model without adapters", given, "leave it out")
        options.data.seed = options.rank_sampling.seed = int(options.seed_everything)

    def after_instantiate_classes(self) -> None:
        """Choose the ranks to evaluate."""
        if self.subcommand in EVALUATIONS:
            ranks = rank_state(self.model.model).config.ranks
            self.model.eval_ranks = parse_ranks(self._get(self.config, "rank"), ranks)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
        """The trainer; a training run gets a folder, a logger and this project's callbacks."""
        options = self.config_init[self.subcommand]
        callbacks = list(options.trainer.callbacks or [])
        if options.trainer.enable_progress_bar is not False:
            callbacks.append(ProgressBar())
        if self.subcommand != "fit":
            return super().instantiate_trainer(logger=False, enable_checkpointing=False, callbacks=callbacks, **kwargs)
        options.rank_sampling.bind(rank_state(self.model.model).config.ranks)  # refuses before anything is written
        check_end(options.trainer)
        parsed = self.config["fit"]
        folder = self.folder = run_folder(self._root_of_runs(parsed.trainer), self.run_name())
        hyperparameters = flatten({key: parsed[key].as_dict() for key in ("model", "data", "rank_sampling")})
        checkpoints = options.trainer.enable_checkpointing is not False
        callbacks.append(SaveConfig(self._parser("fit"), parsed, folder=folder))
        callbacks += self.more_callbacks()
        callbacks += fit_callbacks(folder, self.model, int(options.seed_everything), hyperparameters, checkpoints)
        logger = TensorBoardLogger(folder.parents[1], folder.parent.name, folder.name, default_hp_metric=False)
        return super().instantiate_trainer(logger=logger, callbacks=callbacks, **kwargs)

    def _root_of_runs(self, trainer: Any) -> Path:  # noqa: ANN401
        """The folder of all runs; for a trial a temporary one, so that it is never taken for the newest run."""
        if not trainer.fast_dev_run:
            return Path(trainer.default_root_dir)
        self._trial = TemporaryDirectory(prefix="dylora-")
        return Path(self._trial.name)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        loading = {"ckpt_path": self._get(self.config, "ckpt_path"), "weights_only": True}
        return {**super()._prepare_subcommand_kwargs(subcommand), **loading}

    def fit(self, model: EveryRankModule, **options: Any) -> None:  # noqa: ANN401
        """Train; afterwards show the best epoch's table and where the run lies."""
        assert self.folder is not None
        place = "Trial (fast_dev_run), nothing of it is kept" if self._trial else f"Run {self.folder}"
        say(f"{place}: {model.identity['task']} on {model.identity['backbone']['name']}")
        say(f"Parameters: {count_parameters(model.model)}")
        try:
            self.trainer.fit(model, **options)
        except SystemExit:
            say(interrupted_words(self.folder, self.trainer))
            sys.exit(_INTERRUPTED)
        if report := model.method.report(model.model):
            say(pruning_words(report))
            if self.trainer.is_global_zero:
                content = {"checkpoint": "checkpoints/last.ckpt", **report}
                write_json(self.folder / f"{model.method.name}.json", content)
        if not self._trial:
            say(closing_words(self.folder, self.trainer, model))

    def validate(self, model: EveryRankModule, **options: Any) -> None:  # noqa: ANN401
        """Evaluate the asked ranks on the validation split; what a cut gives at all ranks is kept in the run."""
        kind = self._cut()
        with _stopped_by_signals():
            self.trainer.validate(model, **options, verbose=False)
        say(results_table("validation", model))
        if kind and self.trainer.is_global_zero:
            checkpoint = Path(self._get(self.config, "ckpt_path"))
            say(keep_cut(self.run_of_checkpoint(), kind, checkpoint, self.trainer.limit_val_batches, model))

    def test(self, model: EveryRankModule, **options: Any) -> None:  # noqa: ANN401
        """Evaluate the asked ranks on a labelled test split, and show the rank that was chosen on validation data."""
        kind = self._cut()
        with _stopped_by_signals():
            self.trainer.test(model, **options, verbose=False)
        say(results_table("test", model))
        if len(rank_state(model.model).config.ranks) > 1:
            checkpoint = Path(self._get(self.config, "ckpt_path"))
            say(choice_words(self.run_of_checkpoint(), checkpoint, kind, model))

    def _cut(self) -> Cut | None:
        """The cut that is asked for, once the trainer knows of it."""
        kind: Cut | None = self._get(self.config, "cut")
        if kind:
            self.trainer.callbacks.append(CutAdapter(kind))  # type: ignore[attr-defined]
            say(f"Cut: {kind}")
        return kind

    def predict(self, model: EveryRankModule, **options: Any) -> None:  # noqa: ANN401
        """Write what the asked ranks predict."""
        collected = CollectPredictions(self.predicted_splits())
        self.trainer.callbacks.append(collected)  # type: ignore[attr-defined]
        with _stopped_by_signals():
            self.trainer.predict(model, **options, return_predictions=False)
        if not self.trainer.is_global_zero:
            return
        chosen = self._get(self.config, "output")
        for path in write_predictions(collected, Path(chosen) if chosen else self.run_of_checkpoint() / "predictions"):
            say(f"Written: {path}")
        self.write_further(collected)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Lightning ends the process with the status of a failure; whoever carries out many runs must be able to tell."""
    try:
        yield
    except SystemExit:
        print("Interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)


@rank_zero_only
def say(line: str) -> None:
    """Print a line, in the first process only."""
    print(line, flush=True)
