"""What is refused of parsed options before anything is built of them."""

from typing import Any

from jsonargparse import Namespace

from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.classes import class_at, options_of
from dylora.cli.links import arguments
from dylora.cli.run_arguments import EVALUATIONS
from dylora.cli.trainer_options import check_trainer
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule

_LARGEST_SEED = 2**32 - 1


def check_parsed(command: str, options: Namespace) -> None:
    """Refuse options that are no mappings where mappings belong, and values that no run can have.

    Args:
        command: The command.
        options: Its parsed options.

    Raises:
        InputError: Naming the option.
    """
    for group in ("trainer", "rank_sampling", "model"):
        if not isinstance(options.get(group), Namespace):
            raise _not_options(group, options.get(group))
    _check_groups("rank_sampling", options.rank_sampling, RankSamplingCallback)
    for group in ("model", "data"):
        if options.get(group):
            _check_groups(group, arguments(options, group), class_at(options[group].class_path))
    if not options.get("data") and issubclass(class_at(options.model.class_path), EveryRankModule):
        raise InputError("--data", "a data module", "null", "leave it out, or choose one")
    _check_seed(options.seed_everything)
    check_trainer(options.trainer, command)
    _check_checkpoint(command, options)


def _check_groups(group: str, values: Any, kind: type) -> None:  # noqa: ANN401
    """A group of options inside a class's options, such as `adapter`, must have its options below it."""
    for name in sorted({option.partition(".")[0] for option in options_of(kind) if "." in option}):
        if not isinstance(value := values.get(name), Namespace) and value is not None:
            raise _not_options(f"{group}.{name}", value)


def _check_seed(seed: bool | int) -> None:
    if not isinstance(seed, bool) and not 0 <= seed <= _LARGEST_SEED:
        raise InputError("--seed_everything", f"a whole number from 0 to {_LARGEST_SEED}", seed, "10 is the default")


def _check_checkpoint(command: str, options: Namespace) -> None:
    """An adapter that nothing trained gives figures like any other, so it is not evaluated."""
    if options.ckpt_path == "":
        raise InputError("--ckpt_path", "a file", "an empty name", "leave it out, or give a checkpoint")
    if (
        command in EVALUATIONS
        and options.ckpt_path is None
        and issubclass(class_at(options.model.class_path), EveryRankModule)
    ):
        fix = "leave it out for the run's best checkpoint"
        raise InputError("--ckpt_path", f"a trained checkpoint for {command}", "null, an untrained adapter", fix)


def _not_options(group: str, given: object) -> InputError:
    told = "null" if given is None else repr(given)
    return InputError(f"--{group}", "options with their values", told, f"write --{group}.OPTION VALUE")
