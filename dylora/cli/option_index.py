"""Unknown options are refused by a list of the known ones, before the training libraries are loaded.

    python -c "from dylora.cli.option_index import write_index; write_index()"

writes the list anew, `dylora/assets/options.json`, after options have changed; a test compares it with the parsers. It
only ever refuses: what it knows nothing of (a class of the user's own, another version of Lightning) is left to them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dylora.assets import options_file
from dylora.cli.class_messages import unknown_class_option
from dylora.cli.classes import DEFAULTS, KNOWN
from dylora.cli.messages import nearest
from dylora.cli.run_arguments import option_values
from dylora.errors import InputError
from dylora.runs.yaml_text import read_yaml

_OF_EVERY_CLASS = ("class_path", "init_args", "dict_kwargs", "help")
_PLACES = {"--model": ("model",), "--data": ("data",), "--model.method": ("model", "init_args", "method")}


@cache
def option_index() -> dict[str, Any]:
    """Version of Lightning; the options of each command; those of each known class, without its group's name."""
    index: dict[str, Any] = json.loads(options_file().read_text())
    return index


def unknown_option_words(command: str, arguments: Sequence[str]) -> str | None:
    """What is wrong with the first option that the command, or the class that is chosen, is known not to have.

    Args:
        command: `fit`, `validate`, `test` or `predict`.
        arguments: What follows it.
    """
    known = set(option_index()["commands"][command])
    chosen: dict[str, list[str]] = {}
    for option in _options(arguments):
        if option in known:
            continue
        if option.startswith(("--model.", "--data.")):
            chosen = chosen or {group: _chosen(group, arguments) for group in KNOWN}
            words = _of_no_class(option, chosen)
        elif _is_below(option, known) or version("lightning") != option_index()["lightning"]:
            continue
        else:
            fix = nearest(option, known) or "--help lists the options"
            words = str(InputError(option, "an option of the command", "an unknown one", fix))
        if words:
            return words
    return None


def _options(arguments: Sequence[str]) -> Iterator[str]:
    """The names of the options among arguments; `--name+` appends to a list."""
    for argument in arguments:
        name = argument.partition("=")[0].rstrip("+")
        if name.startswith("--") and len(name) > 2 and " " not in name:
            yield name


def _is_below(option: str, known: set[str]) -> bool:
    """Whether an option belongs to a class that another option chooses, such as `--trainer.logger.save_dir`."""
    parts = option.split(".")
    above = {".".join(parts[:length]) for length in range(1, len(parts))} & known
    groups = {name.rpartition(".")[0] for name in known if not name.endswith(".help")}
    return not above <= groups


def _of_no_class(option: str, chosen: Mapping[str, list[str]]) -> str | None:
    """What to say of an option that none of the chosen classes has."""
    group = max((group for group in KNOWN if option.startswith(f"{group}.")), key=len)
    name = option.removeprefix(f"{group}.").removeprefix("init_args.")
    if name.startswith("method.") and group == "--model":
        return _of_no_class(f"--model.{name}", chosen)
    owners = chosen[group]
    if any(owner not in KNOWN[group] or _has(owner, name) for owner in owners):
        return None
    return unknown_class_option(group, name, owners[-1], option_index()["classes"])


def _has(owner: str, name: str) -> bool:
    if name.split(".")[0] in _OF_EVERY_CLASS:
        return True
    options = option_index()["classes"][owner]
    return any(f"{known}.".startswith(f"{name}.") or name.startswith(f"{known}.") for known in options)


def _chosen(group: str, arguments: Sequence[str]) -> list[str]:
    """Short names of the classes that files and arguments choose for an option; other text for what is not known."""
    configs = [value for option in ("--config", "-c") for value in option_values(arguments, option)]
    found = [_in_file(Path(path), _PLACES[group]) for path in configs]
    found += [value for name in (group, f"{group}.class_path") for value in option_values(arguments, name)]
    by_path = {f"{module}.{name}": name for name, module in KNOWN[group].items()}
    named = [by_path.get(value, value) for value in found if value]
    return named or [DEFAULTS[DEFAULTS.index(group) + 1] if group in DEFAULTS else next(iter(KNOWN[group]))]


def _in_file(path: Path, place: tuple[str, ...]) -> str | None:
    """The class that a configuration file names at a place; None where it names none."""
    try:
        value = read_yaml(path, "--config")
    except InputError:  # the parser says what is wrong with it
        return "?"
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get("class_path")
    return None if value is None else str(value)


def current_index() -> dict[str, Any]:
    """The list as the parsers have it now; the training libraries are loaded."""
    from dylora.cli.classes import known_class, options_of
    from dylora.cli.lightning_cli import parser_of

    names = [name for modules in KNOWN.values() for name in modules]
    return {
        "lightning": version("lightning"),
        "commands": {c: sorted(parser_of(c)._option_string_actions) for c in ("fit", "validate", "test", "predict")},
        "classes": {name: sorted(options_of(known_class(name))) for name in names},
    }


def write_index() -> None:
    """Write the list as the parsers have it now."""
    options_file().write_text(json.dumps(current_index(), indent=1) + "\n")
