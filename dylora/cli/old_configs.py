"""Configuration files of earlier versions, which named a text set and a method by a word, as those of today."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import yaml  # type: ignore[import-untyped]

from dylora.errors import InputError
from dylora.runs.yaml_text import parse_yaml

SETS = {
    "e2e": "E2EDataModule",
    "webnlg": "WebNLGDataModule",
    "dart": "DARTDataModule",
    "restaurants": "RestaurantTextDataModule",
}
METHODS = {"adapter": "Adapter", "full": "FullFineTuning", "flop": "FLOP"}


def refuse_old_options(command: str, arguments: Sequence[str]) -> None:
    """Say what to write in the place of options that chose model, data and method until these were classes.

    Raises:
        InputError: If one of them is among the arguments.
    """
    for argument, following in pairwise([*arguments, ""]):
        name, sign, value = argument.partition("=")
        given = value if sign else following
        if name == "--set":
            fix = f"write: python -m dylora {command} --model GenerationModule --data {SETS.get(given, SETS['e2e'])}"
            raise InputError("--set", f"left out of {command}: model and data are chosen by their classes", given, fix)
        if name.startswith("--model.flop."):
            fix = f"write --model.method FLOP {name.replace('.flop.', '.method.')} {given}"
            raise InputError(name, "an option of the method FLOP", given, fix)


def renewed(content: str) -> str:
    """The content of a configuration file, rewritten if an earlier version wrote it.

    >>> print(renewed("{set: e2e, model: {learning_rate: 1.0, method: flop, flop: {target: 0.5}}}"), end="")
    model:
      class_path: GenerationModule
      init_args:
        learning_rate: 1.0
        method:
          class_path: FLOP
          init_args:
            target: 0.5
    data:
      class_path: E2EDataModule
    """
    try:
        config = parse_yaml(content, "configuration")
    except InputError:
        return content  # the parser says what is wrong with it
    if not isinstance(config, dict):
        return content
    changed = _renew_method(config) | _renew_set(config) | _renew_recipe(config)
    return yaml.safe_dump(config, sort_keys=False) if changed else content


def _renew_method(config: dict[str, Any]) -> bool:
    """`method: flop` and `flop: {…}` below `model`, as a class with its options."""
    model = config.get("model")
    if not isinstance(model, dict) or "class_path" in model:
        return False
    options = _mapping("model.flop", model.pop("flop", None))
    name = model.get("method")
    if isinstance(name, str) and name in METHODS:
        model["method"] = {"class_path": METHODS[name]}
        if name == "flop" and options:
            model["method"]["init_args"] = options
        return True
    return options is not None


def _renew_recipe(config: dict[str, Any]) -> bool:
    """The whole of `rank_sampling`, as a run keeps it, from before there were recipes."""
    sampling = config.get("rank_sampling")
    if not isinstance(sampling, dict) or "recipe" in sampling or not {"distribution", "seed"} <= sampling.keys():
        return False
    config["rank_sampling"] = {"recipe": "dylora", **sampling}
    return True


def _renew_set(config: dict[str, Any]) -> bool:
    """`set: e2e`, as the classes of model and data."""
    if not isinstance(config.get("set"), str) or config["set"] not in SETS:
        return False
    for group, name in (("model", "GenerationModule"), ("data", SETS[config.pop("set")])):
        options = _mapping(group, config.pop(group, None))
        config[group] = {"class_path": name, **({"init_args": options} if options else {})}
    return True


def _mapping(name: str, value: object) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise InputError(name, "options with their values", repr(value), "write option: value below it")
    return value
