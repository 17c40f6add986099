"""The commands `fit`, `validate`, `test` and `predict`, on Lightning's CLI, whatever model and data are chosen."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from dylora.adapters.cuts import check_cut
from dylora.callbacks.progress_bar import ProgressBar
from dylora.cli.argument_texts import check_yaml_of
from dylora.cli.classes import DEFAULTS, load_named
from dylora.cli.command_options import NOT_OPTIONS, add_links, add_model_and_data, add_options_of
from dylora.cli.commands import COMMANDS, typed
from dylora.cli.evaluated_folder import entry_of, is_folder, load_folder
from dylora.cli.evaluation_commands import EvaluationCommands
from dylora.cli.fit import as_list, room_for_checkpoints, run_folder, run_loggers, with_whole_checkpoints
from dylora.cli.fit_command import FitCommand
from dylora.cli.links import check_kinds, check_task, fill_in_from, share
from dylora.cli.parsed_options import check_parsed
from dylora.cli.parser import Parser
from dylora.cli.run_arguments import EVALUATIONS, completed
from dylora.cli.templates import quoted_templates
from dylora.cli.trainer_options import made_trainer, trainer_error
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.processes import process_rank
from dylora.runs.checkpoints import KEY, check_identity, read_checkpoint
from dylora.runs.folders import ROOT, discard_run
from dylora.whole_files import check_writable

PRINT = "--print_config"


def run_trainer_command(arguments: Sequence[str]) -> None:
    """Run one of the commands that train or evaluate.

    Args:
        arguments: The command and its options.

    Raises:
        InputError: If the arguments are wrong.
    """
    found, note = completed(arguments)
    command, *options = quoted_templates(found)
    check_yaml_of(options)
    run_cli(partial(DyLoRACLI, note=note), command, options)


def parser_of(command: str) -> LightningArgumentParser:
    """The parser of one of the commands that train or evaluate."""
    try:
        _ParserOnly([command])
    except _ParserMade as made:
        return made.parser
    raise AssertionError("the parser is always made")


def run_cli(cli: "Callable[[Sequence[str]], AnyCLI]", command: str, options: Sequence[str]) -> "AnyCLI":
    """Run a subcommand of Lightning's CLI or of a class made of it, with the default model and data.

    Returns:
        The object that has run it.

    Raises:
        InputError: If the options are wrong.
    """
    load_named(" ".join((*DEFAULTS, *options)))
    try:
        return cli([command, *DEFAULTS, *options])
    except MisconfigurationException as error:
        raise trainer_error(error, None) or error from error


AnyCLI = TypeVar("AnyCLI", bound="DyLoRACLI")


class DyLoRACLI(FitCommand, EvaluationCommands):
    """Lightning's CLI with runs that never overwrite one another and evaluation at chosen ranks.

    Any LightningModule will do. What is about ranks is left out for one that is not an `EveryRankModule`.

    Args:
        arguments: The command and its options.
        note: What to say before the command does its work, once nothing is left to refuse.
    """

    def __init__(self, arguments: Sequence[str], note: str = "") -> None:
        self.folder = None
        self._note = note
        self._trial = None
        self._command = arguments[0]
        self._first_step = 0
        try:
            super().__init__(
                save_config_callback=None,
                trainer_defaults={"default_root_dir": ROOT, "num_sanity_val_steps": 0, "enable_model_summary": False},
                seed_everything_default=10,
                parser_class=Parser,
                parser_kwargs={
                    name: {"description": COMMANDS[name], "usage": f"{typed(name)} [options]"}
                    for name in self.subcommands()
                },
                args=list(arguments),
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
        except BaseException:
            self._clean_up(is_refused=not self._has_trained())
            raise
        finally:
            self._clean_up(is_refused=False)

    def _clean_up(self, is_refused: bool) -> None:
        """A trial leaves nothing behind, a run that failed before it wrote anything no folder."""
        if self._trial is not None:
            self._trial.cleanup()
        elif self.folder is not None and process_rank() == 0:
            discard_run(self.folder, is_refused)

    @override
    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The one command that was given, and which arguments of the trainer's method are no options of it."""
        return {self._command: NOT_OPTIONS[self._command]}

    @override
    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the trainer, and model and data by class."""
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in self.trainer_defaults.items()})
        add_model_and_data(parser)

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the rank sampling, and links between options that must agree."""
        add_links(parser)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:  # noqa: ANN401
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        add_options_of(subcommand, parser)
        return parser

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the completed arguments; Lightning would warn that they are not those of the process."""
        own = self._parser(self._command)
        assert isinstance(own, Parser)
        own.is_brief = PRINT in args
        self.config = parser.parse_args([PRINT if each == f"{PRINT}=all" else each for each in args])
        check_parsed(self.config.subcommand, self.config[self.config.subcommand])

    def _parse_ckpt_path(self) -> None:
        """Read the checkpoint before anything is built, so that an unusable one is refused at once.

        Lightning would take hyper-parameters from it here, over those of the command line.
        """
        options = self.config[self.config.subcommand]
        if is_folder(options.ckpt_path):
            fill_in_from(entry_of(Path(options.ckpt_path), options), options)
        elif options.ckpt_path:
            checkpoint = read_checkpoint(options.ckpt_path)
            self._first_step = int(checkpoint.get("global_step", 0))
            fill_in_from(checkpoint, options)

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
        if is_folder(options.ckpt_path):
            load_folder(self.model, Path(options.ckpt_path))
        elif options.ckpt_path and isinstance(self.model, EveryRankModule):  # before any data is read
            check_identity(read_checkpoint(options.ckpt_path).get(KEY), self.model.identity)
        if self.subcommand == "fit" and options.init_from:
            self._start_from(options.init_from)
        if self.subcommand in EVALUATIONS:
            self._choose_ranks(options)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer; a training run gets a folder, a logger and this project's callbacks."""
        options = self.config_init[self.subcommand]
        callbacks = as_list(options.trainer.callbacks)
        has_bar = any(isinstance(callback, AnyProgressBar) for callback in callbacks)
        if options.trainer.enable_progress_bar is not False and not has_bar:
            callbacks.append(ProgressBar())
        kwargs["plugins"] = with_whole_checkpoints(options.trainer.plugins)
        if self.subcommand != "fit":
            logger = options.trainer.logger or False
            more = {"logger": logger, "enable_checkpointing": False, "callbacks": callbacks, **kwargs}
            return made_trainer(lambda: super(DyLoRACLI, self).instantiate_trainer(**more), options.trainer)
        self._check_training(options)
        root = self._root_of_runs(options.trainer)
        check_writable("--trainer.default_root_dir", root, room_for_checkpoints(options.trainer, self.model))
        folder = self.folder = run_folder(root, self.run_name())
        callbacks += self._fit_callbacks(folder)
        logger = run_loggers(options.trainer.logger, folder)
        more = {"logger": logger, "callbacks": callbacks, **kwargs}
        return made_trainer(lambda: super(DyLoRACLI, self).instantiate_trainer(**more), options.trainer)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        checkpoint = self._get(self.config, "ckpt_path")
        loading = {"ckpt_path": None if is_folder(checkpoint) else checkpoint, "weights_only": True}
        return {**super()._prepare_subcommand_kwargs(subcommand), **loading}


class _ParserMade(Exception):  # noqa: N818 (no error)
    """The command's parser is there."""

    def __init__(self, parser: LightningArgumentParser) -> None:
        super().__init__()
        self.parser = parser


class _ParserOnly(DyLoRACLI):
    """Makes the command's parser and stops."""

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        raise _ParserMade(self._parser(self._command))


def _raised_inside(error: BaseException) -> BaseException:
    """What a constructor raised, where jsonargparse has made a message about types of it."""
    while "Does not validate against any of the Union subtypes" in str(error) and error.__cause__ is not None:
        error = error.__cause__
    return error
