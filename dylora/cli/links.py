"""Options that model and data share are given once: what both classes have is filled in."""

from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule

from dylora.cli.classes import DATA, MODELS, class_at, known_class, options_of
from dylora.errors import InputError
from dylora.runs.checkpoints import KEY

_OF_THE_MODEL = ("backbone", "gguf_file")
_OF_THE_DATA = {"task": "task_name", "labels": "labels"}
"""Options of the model, and the attributes of the data that they are taken from."""


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


def check_kinds(options: Namespace) -> None:
    """Refuse data whose batches are of another kind than those that the model takes, where both say theirs.

    Args:
        options: The parsed options of a command.

    Raises:
        InputError: If the kinds differ.
    """
    if not (options.get("data") and options.get("model")):
        return
    model, data = (class_at(options[group].class_path) for group in ("model", "data"))
    wanted, given = getattr(model, "kind", None), getattr(data, "kind", None)
    if None in (wanted, given) or wanted == given:
        return
    fitting = ", ".join(name for name in DATA if getattr(known_class(name), "kind", None) == wanted)
    others = [name for name in MODELS if getattr(known_class(name), "kind", None) == given]
    fix = f"choose the data, or --model {others[0]}" if others else "choose the data"
    raise InputError("--data", f"a data module of {wanted} for {model.__name__} ({fitting})", data.__name__, fix)


def fill_in_from(checkpoint: Mapping[str, Any], options: Namespace) -> None:
    """Fill in name and classes of a user's own data, in place, with those that a checkpoint was trained on.

    So an evaluation needs no training file, and its classes have the ids that the model gives them.

    Args:
        checkpoint: The checkpoint that is evaluated.
        options: The parsed options of the command.
    """
    trained = checkpoint.get(KEY, {})
    if not options.get("data") or "labels" not in (data := arguments(options, "data")):
        return
    for name, value in (("name", trained.get("task")), ("labels", trained.get("labels"))):
        if value and name in data and data[name] is None:
            data[name] = value


def check_task(options: Namespace, data: LightningDataModule | None) -> None:
    """Refuse a task, or labels, of the model's own that are not those of its data.

    Raises:
        InputError: If they are others.
    """
    for name, attribute in _OF_THE_DATA.items():
        value = getattr(data, attribute, None)
        if value is not None and name in arguments(options, "model"):
            _check(options, "model", name, "the data", value)


def shared_options(options: Namespace) -> dict[str, set[str]]:
    """Names of the options of the model, and of the data, that are filled in from elsewhere.

    Args:
        options: Options of a command, parsed or in parts.
    """
    model, data = (options.get(f"{group}.class_path") for group in ("model", "data"))
    known = options_of(class_at(model)) if model else {}
    of_data = {n for n, attribute in _OF_THE_DATA.items() if data is not None and hasattr(class_at(data), attribute)}
    return {"model": of_data, "data": {"seed", *(n for n in _OF_THE_MODEL if n in known)}}


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
