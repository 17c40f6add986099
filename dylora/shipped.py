"""Configurations and experiments that come with the package, found by name: `demo`, `nlg/e2e`, `table2`."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dylora.errors import InputError

Kind = Literal["configs", "experiments"]
_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(kind: Kind) -> Path:
    """Where the files of a kind lie: in an installed package inside it, in a clone beside it."""
    inside = _PACKAGE / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def shipped_names(kind: Kind) -> list[str]:
    """The names of all files of a kind.

    >>> "nlg/e2e" in shipped_names("configs"), "table2" in shipped_names("experiments")
    (True, True)
    """
    folder = shipped_folder(kind)
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def find_file(kind: Kind, given: str, option: str) -> str:
    """The file that a path or a name means; a path that exists wins.

    Args:
        kind: What is looked for.
        given: A path, or a name; `demo`, `demo.yaml` and `configs/demo.yaml` are the same one.
        option: The option that it was given with.

    Returns:
        The path of the file; `given` as it is, if it exists or is no path but YAML itself.

    Raises:
        InputError: If there is neither such a path nor such a name, with the name that is nearest.

    >>> Path(find_file("configs", "demo", "--config")).name
    'demo.yaml'
    >>> find_file("configs", "rtt", "--config")
    Traceback (most recent call last):
    dylora.errors.InputError: --config: must be a file or a name that comes with dylora, got 'rtt'; did you mean rte?
    """
    names = shipped_names(kind)
    name = given.removeprefix(f"{kind}/").removesuffix(".yaml")
    if _is_file(given) or not given:
        return given
    if name in names:
        return str(shipped_folder(kind) / f"{name}.yaml")
    if _exists(given) or any(sign in given for sign in ":{\n"):
        return given
    near = difflib.get_close_matches(name, names, 1)
    fix = f"did you mean {near[0]}?" if near else f"check the path, or choose one of {', '.join(names)}"
    raise InputError(option, "a file or a name that comes with dylora", repr(given), fix)


def with_config_files(arguments: Sequence[str]) -> list[str]:
    """A command's arguments, each `--config NAME` with the path of the file in the place of its name.

    Raises:
        InputError: If there is no such file or name.
    """
    found: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if found and found[-1] in ("--config", "-c") and not argument.startswith("-"):
            found.append(find_file("configs", argument, "--config"))
        elif equals and option == "--config":
            found.append(f"--config={find_file('configs', value, option)}")
        else:
            found.append(argument)
    return found


def _is_file(text: str) -> bool:
    return _exists(text) and Path(text).is_file()


def _exists(text: str) -> bool:
    """Whether there is such a path; a text that is too long for one is none."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False
