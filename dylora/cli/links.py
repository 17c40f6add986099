"""Options that model and data share are given once: what both classes have is filled in."""

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule

from dylora.cli.classes import class_at, options_of
from dylora.errors import InputError

FROM_THE_DATA = {"task_name": "task", "labels": "labels"}
"""Attributes of the data, and the options of the model that are filled in from them."""
_OF_THE_MODEL = ("backbone", "gguf_file")


def share(options: Namespace) -> None:
    """Fill in the data's backbone, GGUF file and seed, in place, where the classes have such options.

    Args:
        options: The parsed options of a command.

    Raises:
        InputError: If one of them is given with another value of its own.
    """
    model, data = arguments(options, "model"), arguments(options, "data")
    sources = {name: (f"model.{name}", model[name]) for name in _OF_THE_MODEL if name in model}
    sources["seed"] = ("seed_everything", int(options.seed_everything))
    for name, (source, value) in sources.items():
        if name in data:
            _check(options, "data", name, source, value)
            data[name] = value


def check_task(options: Namespace, data: LightningDataModule | None) -> None:
    """Refuse a task of the model's own that is not that of its data.

    Raises:
        InputError: If it is another one.
    """
    task = getattr(data, "task_name", None)
    if task is not None and "task" in arguments(options, "model"):
        _check(options, "model", "task", "the data", task)


def shared_options(options: Namespace) -> dict[str, set[str]]:
    """Names of the options of the model, and of the data, that are filled in from elsewhere.

    Args:
        options: Options of a command, parsed or in parts.
    """
    model, data = (options.get(f"{group}.class_path") for group in ("model", "data"))
    known = options_of(class_at(model)) if model else {}
    given = {option for name, option in FROM_THE_DATA.items() if data is not None and hasattr(class_at(data), name)}
    return {"model": given, "data": {"seed", *(n for n in _OF_THE_MODEL if n in known)}}


def without_shared(options: Namespace) -> Namespace:
    """A copy without the options that are filled in from elsewhere, as configuration files have it."""
    copy = options.clone()
    for group, names in shared_options(copy).items():
        for name in names:
            arguments(copy, group).pop(name, None)
    copy.pop("rank_sampling.seed", None)
    return copy


def arguments(options: Namespace, group: str) -> Namespace:
    """The arguments of the class that a group names; empty where there are none.

    Args:
        options: The parsed options of a command.
        group: `model` or `data`.
    """
    found: Namespace | None = options.get(f"{group}.init_args") if options.get(group) else None
    return Namespace() if found is None else found  # type: ignore[no-untyped-call]


def _check(options: Namespace, group: str, name: str, source: str, value: object) -> None:
    """Refuse a value that is neither the class's default nor that of the source."""
    given = arguments(options, group)[name]
    if given not in (value, options_of(class_at(options[group].class_path))[name]):
        fix = f"leave --{group}.{name} out"
        raise InputError(f"--{group}.{name}", f"that of {source} ({value})", given, fix)
