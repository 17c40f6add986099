"""The commands `fit`, `validate`, `test` and `predict`, on Lightning's CLI, whatever model and data are chosen."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from dylora.adapters.active_rank import rank_state
from dylora.adapters.cuts import CUTS, check_cut
from dylora.adapters.rank_spec import parse_ranks
from dylora.callbacks.cut import CutAdapter
from dylora.callbacks.predictions import CollectPredictions, write_json_lines
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.classes import DATA, DEFAULTS, MODELS
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
    opening_words,
    run_folder,
    run_loggers,
)
from dylora.cli.initial import start_from
from dylora.cli.links import check_kinds, check_task, fill_in_from, share
from dylora.cli.parser import Parser
from dylora.cli.plain_parser import fail
from dylora.cli.run_arguments import EVALUATIONS, complete_arguments
from dylora.cli.templates import quoted_templates
from dylora.data.submission import Submission
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule, check_precision
from dylora.runs.checkpoints import read_checkpoint
from dylora.runs.folders import ROOT, free_path, write_json

_INTERRUPTED = 130


def run_trainer_command(arguments: Sequence[str]) -> None:
    """Run one of the commands that train or evaluate.

    Raises:
        InputError: If the arguments are wrong.
    """
    command, *options = quoted_templates(complete_arguments(arguments))
    run_cli(DyLoRACLI, command, options)


def run_cli(cli: "type[AnyCLI]", command: str, options: Sequence[str]) -> "AnyCLI":
    """Run a subcommand of Lightning's CLI or of a class made of it, with the default model and data.

    Returns:
        The object that has run it.

    Raises:
        InputError: If the options are wrong.
    """
    try:
        return cli([command, *DEFAULTS, *options])
    except MisconfigurationException as error:
        fail(f"--trainer: {error} Check the trainer's options.")


AnyCLI = TypeVar("AnyCLI", bound="DyLoRACLI")


class DyLoRACLI(LightningCLI):
    """Lightning's CLI with runs that never overwrite one another and evaluation at chosen ranks.

    Any LightningModule will do. What is about ranks is left out for one that is not an `EveryRankModule`.

    Args:
        arguments: The command and its options.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.folder: Path | None = None
        self._trial: TemporaryDirectory[str] | None = None
        try:
            super().__init__(
                save_config_callback=None,
                trainer_defaults={"default_root_dir": ROOT, "num_sanity_val_steps": 0, "enable_model_summary": False},
                seed_everything_default=10,
                parser_class=Parser,
                parser_kwargs={
                    name: {"description": COMMANDS[name], "usage": f"python -m dylora {name} [options]"}
                    for name in self.subcommands()
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
    @override
    def subcommands() -> dict[str, set[str]]:
        """The commands, and which arguments of the trainer's methods are no options."""
        never = {"model", "datamodule", "ckpt_path", "weights_only"}  # ckpt_path is added below, with help of its own
        return {
            "fit": never | {"train_dataloaders", "val_dataloaders"},
            "validate": never | {"dataloaders", "verbose"},
            "test": never | {"dataloaders", "verbose"},
            "predict": never | {"dataloaders", "return_predictions"},
        }

    @override
    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the trainer, and model and data by class."""
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in self.trainer_defaults.items()})
        text = "What is trained: {}, or the class path of another {}; its options stand below."
        names = ", ".join(model.__name__ for model in MODELS)
        parser.add_argument("--model", type=LightningModule, help=text.format(names, "LightningModule"))
        names = ", ".join(data.__name__ for data in DATA)
        text = text.replace("trained", "trained on")
        parser.add_argument("--data", type=LightningDataModule | None, help=text.format(names, "LightningDataModule"))

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the rank sampling, and links between options that must agree."""
        parser.add_class_arguments(RankSamplingCallback, "rank_sampling")
        parser.link_arguments("seed_everything", "rank_sampling.seed", compute_fn=int)
        parser.link_arguments("data.task_name", "model.init_args.task", apply_on="instantiate")
        parser.link_arguments("data.labels", "model.init_args.labels", apply_on="instantiate")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:  # noqa: ANN401
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        text = (
            "Checkpoint to resume from."
            if subcommand == "fit"
            else "Checkpoint to evaluate; the run's best by default."
        )
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=text)
        if subcommand == "fit":
            text = "Run or checkpoint whose adapter, of the same or a smaller range, training starts from."
            parser.add_argument("--init_from", type=str | None, default=None, help=text)
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
            text = "Number of training examples that weigh the two-sided cut."
            parser.add_argument("--cut_examples", type=int, default=1000, help=text)
        if subcommand == "predict":
            text = "Folder for the predictions, a JSON Lines file a split; null means predictions/ in the run."
            parser.add_argument("--output", type=str | None, default=None, help=text)
            text = "Folder for the GLUE leaderboard's files; with a folder for each rank if there are several."
            parser.add_argument("--submission", type=str | None, default=None, help=text)
        return parser

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the completed arguments; Lightning would warn that they are not those of the process."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Read the checkpoint before anything is built, so that an unusable one is refused at once.

        Lightning would take hyper-parameters from it here, over those of the command line.
        """
        options = self.config[self.config.subcommand]
        if options.ckpt_path:
            fill_in_from(read_checkpoint(options.ckpt_path), options)

    @override
    def before_instantiate_classes(self) -> None:
        """Refuse an unknown cut, and fill in what model and data share."""
        options = self.config[self.config.subcommand]
        if kind := options.get("cut"):
            check_cut(kind)
            if options.cut_examples < 1:
                raise InputError("--cut_examples", "1 or more", options.cut_examples, "1000 are enough")
        options.rank_sampling.seed = int(options.seed_everything)  # it may have been chosen at random
        check_kinds(options)
        share(options)

    @override
    def instantiate_classes(self) -> None:
        """Build model, data and trainer; what a constructor raises is raised as it is."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise _raised_inside(error) from None

    @override
    def after_instantiate_classes(self) -> None:
        """Check what only the built classes can tell, and choose the ranks to evaluate."""
        options = self.config[self.subcommand]
        check_task(options, self.datamodule)
        if self.subcommand == "fit" and options.init_from:
            self._start_from(options.init_from)
        if self.subcommand not in EVALUATIONS:
            return
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

    def _start_from(self, place: str) -> None:
        if self._get(self.config, "ckpt_path"):
            raise InputError("--init_from", "left out with --ckpt_path", place, "give one of the two")
        if not isinstance(self.model, EveryRankModule):
            allowed = f"left out for {type(self.model).__name__}, which has no ranks"
            raise InputError("--init_from", allowed, place, "leave it out")
        say(start_from(self.model, place))

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer; a training run gets a folder, a logger and this project's callbacks."""
        options = self.config_init[self.subcommand]
        callbacks = list(options.trainer.callbacks or [])
        has_bar = any(isinstance(callback, AnyProgressBar) for callback in callbacks)
        if options.trainer.enable_progress_bar is not False and not has_bar:
            callbacks.append(ProgressBar())
        if self.subcommand != "fit":
            logger = options.trainer.logger or False
            return super().instantiate_trainer(logger=logger, enable_checkpointing=False, callbacks=callbacks, **kwargs)
        if isinstance(self.model, EveryRankModule):  # refuses before anything is written
            options.rank_sampling.bind(rank_state(self.model.model).config.ranks)
            check_precision(str(options.trainer.precision))
            check_end(options.trainer)
        folder = self.folder = run_folder(self._root_of_runs(options.trainer), self.run_name())
        callbacks += self._fit_callbacks(folder)
        logger = run_loggers(options.trainer.logger, folder)
        return super().instantiate_trainer(logger=logger, callbacks=callbacks, **kwargs)

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
        callbacks += fit_callbacks(folder, self.model, int(options.seed_everything), flatten(named), checkpoints)
        return [*callbacks, options.rank_sampling] if isinstance(self.model, EveryRankModule) else callbacks

    def run_name(self) -> str:
        """Name of the folder that runs of this kind share: what the data calls it, or the model's class."""
        return str(getattr(self.datamodule, "run_name", type(self.model).__name__))

    def run_of_checkpoint(self) -> Path:
        """Folder of the run whose checkpoint is evaluated."""
        return Path(self._get(self.config, "ckpt_path")).parent.parent

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        loading = {"ckpt_path": self._get(self.config, "ckpt_path"), "weights_only": True}
        return {**super()._prepare_subcommand_kwargs(subcommand), **loading}

    def fit(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Train; afterwards show the best epoch's table and where the run lies."""
        assert self.folder is not None
        say(opening_words(None if self._trial else self.folder, model))
        try:
            self.trainer.fit(model, **options)
        except SystemExit:
            say(interrupted_words(self.folder, self.trainer))
            sys.exit(_INTERRUPTED)
        if isinstance(model, EveryRankModule) and (report := model.method.report(model.model)):
            say(model.method.report_text(report))
            if self.trainer.is_global_zero:
                content = {"checkpoint": "checkpoints/last.ckpt", **report}
                write_json(self.folder / f"{model.method.name}.json", content)
        if not self._trial:
            say(closing_words(self.folder, self.trainer, model))

    def validate(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Evaluate the asked ranks on the validation split; what a cut gives at all ranks is kept in the run."""
        kind = self._cut()
        with _stopped_by_signals():
            self.trainer.validate(model, **options, verbose=not isinstance(model, EveryRankModule))
        if not isinstance(model, EveryRankModule):
            return
        self._say_calibration()
        say(results_table("validation", model))
        if kind and self.trainer.is_global_zero:
            checkpoint = Path(self._get(self.config, "ckpt_path"))
            say(keep_cut(self.run_of_checkpoint(), kind, checkpoint, self.trainer.limit_val_batches, model))

    def test(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Evaluate the asked ranks on a labelled test split, show the rank validation chose, and keep the texts."""
        kind = self._cut()
        with _stopped_by_signals():
            self.trainer.test(model, **options, verbose=not isinstance(model, EveryRankModule))
        if not isinstance(model, EveryRankModule):
            return
        self._say_calibration()
        say(results_table("test", model))
        if len(rank_state(model.model).config.ranks) > 1:
            checkpoint = Path(self._get(self.config, "ckpt_path"))
            say(choice_words(self.run_of_checkpoint(), checkpoint, kind, model))
        if self.trainer.is_global_zero:
            for name, records in model.files().items():
                path = free_path(self.run_of_checkpoint() / "predictions" / f"{name}.jsonl")
                write_json_lines(path, records)
                say(f"Written: {path}")

    def _cut(self) -> Any:  # noqa: ANN401 (checked before)
        """The cut that is asked for, once the trainer knows of it."""
        kind = self._get(self.config, "cut")
        if kind:
            callback = CutAdapter(kind, self._get(self.config, "cut_examples"))
            self.trainer.callbacks.append(callback)  # type: ignore[attr-defined]
            say(f"Cut: {kind}")
        return kind

    def _say_calibration(self) -> None:
        """What the two-sided cut was weighed with."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, CutAdapter) and callback.calibration:
                say(f"Cut two-sided: {callback.calibration}")

    def predict(self, model: LightningModule, **options: Any) -> None:  # noqa: ANN401
        """Write what the asked ranks predict; of another module, what its own callbacks write."""
        submission = self._submission()
        collected = CollectPredictions(self._predicted_splits())
        if isinstance(model, EveryRankModule):
            self.trainer.callbacks.append(collected)  # type: ignore[attr-defined]
        with _stopped_by_signals():
            self.trainer.predict(model, **options, return_predictions=False)
        if not self.trainer.is_global_zero or not isinstance(model, EveryRankModule):
            return
        chosen = self._get(self.config, "output")
        folder = Path(chosen) if chosen else self.run_of_checkpoint() / "predictions"
        for path in write_predictions(collected, folder, self.datamodule):
            say(f"Written: {path}")
        for path in submission.write(collected.records) if submission else ():
            say(f"Written: {path}")

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


def _raised_inside(error: BaseException) -> BaseException:
    """What a constructor raised, where jsonargparse has made a message about types of it."""
    while "Does not validate against any of the Union subtypes" in str(error) and error.__cause__ is not None:
        error = error.__cause__
    return error


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
