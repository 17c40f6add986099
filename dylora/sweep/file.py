"""The sweep file: its schema, and a reader that names the key at fault."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]

from dylora.errors import InputError

Options = dict[str, Any]
T = TypeVar("T")
PAPER_SEEDS = (10, 42, 4242, 1010)


@dataclass(frozen=True)
class System:
    """One of the compared systems.

    Attributes:
        options: Options of `fit` that make the system, on top of `common`.
        label: How tables and pictures call it; its name if left out.
        cuts: Cuts that its last checkpoint is evaluated under as well (`validate --cut`).
        ranks: Train it once for each of these ranks, with max_rank = min_rank = the rank.
        learning_rates: Try each of these, in runs of their own if the file has `tuning`, else with the first seed. The
            best one on their validation rows is taken for all seeds: by the area under the rank curve, that of the best
            cut in runs of their own; else at the largest rank where that one alone is trained.
    """

    options: Options = field(default_factory=dict)
    label: str | None = None
    cuts: tuple[str, ...] = ()
    ranks: tuple[int, ...] | None = None
    learning_rates: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tuning:
    """How learning rates are tried, apart from the runs that are reported.

    Attributes:
        options: Options of `fit` on top of all others, such as `data.validation_share`, which validates on a part of
            the training rows.
        seed: The seed of these runs.
    """

    options: Options
    seed: int = 1


@dataclass(frozen=True)
class Preset:
    """Another size of the same experiment; what is left out stays.

    Attributes:
        tasks: In the place of the file's tasks.
        seeds: In the place of the file's seeds.
        common: On top of the file's common options; wins over the systems' own.
        ranks: In the place of the ranks of the systems that have some.
    """

    tasks: dict[str, Path] | None = None
    seeds: tuple[int, ...] | None = None
    common: Options = field(default_factory=dict)
    ranks: tuple[int, ...] | None = None


@dataclass(frozen=True)
class SweepFile:
    """An experiment: systems x tasks x seeds.

    Attributes:
        systems: The compared systems by name.
        tasks: Configuration file of each task, relative to this file.
        table: The paper's table that it is for (1 to 9, v1.1), if any.
        seeds: The seeds; the paper's if left out.
        common: Options of `fit` for all runs, on top of the task's configuration.
        tuning: How learning rates are tried; none means in the first seed's runs.
        presets: Other sizes of the experiment, by name.
    """

    systems: dict[str, System]
    tasks: dict[str, Path]
    table: str | None = None
    seeds: tuple[int, ...] = PAPER_SEEDS
    common: Options = field(default_factory=dict)
    tuning: Tuning | None = None
    presets: dict[str, Preset] = field(default_factory=dict)

    def with_preset(self, name: str) -> "SweepFile":
        """The experiment in the size of a preset.

        Raises:
            InputError: If there is no such preset.
        """
        if name not in self.presets:
            allowed = "one of " + ", ".join(self.presets) if self.presets else "left out for a file without presets"
            raise InputError("--preset", allowed, repr(name), "choose another one, or none")
        preset = self.presets[name]
        systems = {key: _resized(system, preset) for key, system in self.systems.items()}
        tasks, seeds = preset.tasks or self.tasks, preset.seeds or self.seeds
        return replace(self, systems=systems, tasks=tasks, seeds=seeds, presets={})


def read_sweep(path: Path) -> SweepFile:
    """Read a sweep file.

    Raises:
        InputError: Naming the key, if one is unknown, missing or has a wrong value.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        given = f"{str(path)!r} ({error.strerror})"
        raise InputError("FILE", "a sweep file", given, "check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(str(path), "YAML", str(error), "see docs/sweeps.md") from error
    return _sweep(content, f"{path}:", path.parent)


def _resized(system: System, preset: Preset) -> System:
    ranks = preset.ranks if preset.ranks and system.ranks else system.ranks
    return replace(system, ranks=ranks, options={**system.options, **preset.common})


def _sweep(value: object, where: str, folder: Path) -> SweepFile:
    readers: dict[str, Callable[[object, str], Any]] = {
        "systems": lambda v, w: {name: _system(s, f"{w}.{name}") for name, s in _mapping(v, w).items()},
        "tasks": lambda v, w: _tasks(v, w, folder),
        "table": lambda v, w: str(v),
        "seeds": _integers,
        "common": _options,
        "tuning": _tuning,
        "presets": lambda v, w: {name: _preset(p, f"{w}.{name}", folder) for name, p in _mapping(v, w).items()},
    }
    return _build(SweepFile, value, where, readers)


def _system(value: object, where: str) -> System:
    readers: dict[str, Callable[[object, str], Any]] = {
        "options": _options,
        "label": lambda v, w: str(v),
        "cuts": lambda v, w: tuple(str(item) for item in _sequence(v, w)),
        "ranks": _integers,
        "learning_rates": _numbers,
    }
    return _build(System, {} if value is None else value, where, readers)


def _tuning(value: object, where: str) -> Tuning:
    readers: dict[str, Callable[[object, str], Any]] = {"options": _options, "seed": _integer}
    return _build(Tuning, value, where, readers)


def _preset(value: object, where: str, folder: Path) -> Preset:
    readers: dict[str, Callable[[object, str], Any]] = {
        "tasks": lambda v, w: _tasks(v, w, folder),
        "seeds": _integers,
        "common": _options,
        "ranks": _integers,
    }
    return _build(Preset, value, where, readers)


def _build(kind: type[T], value: object, where: str, readers: Mapping[str, Callable[[object, str], Any]]) -> T:
    """Read a mapping into a dataclass; its fields and the readers have the same names."""
    given = _mapping(value, where)
    for key in given:
        if key not in readers:
            near = difflib.get_close_matches(str(key), readers, 1)
            fix = f"did you mean {near[0]}?" if near else "see docs/sweeps.md"
            raise InputError(_join(where, key), "one of the keys " + ", ".join(readers), repr(key), fix)
    for known in fields(kind):  # type: ignore[arg-type]
        if known.default is MISSING and known.default_factory is MISSING and not given.get(known.name):
            raise InputError(_join(where, known.name), "given, at least one", "none", "see docs/sweeps.md")
    return kind(**{key: readers[key](item, _join(where, key)) for key, item in given.items()})


def _tasks(value: object, where: str, folder: Path) -> dict[str, Path]:
    tasks = {}
    for name, path in _mapping(value, where).items():
        tasks[name] = found = (folder / str(path)).resolve()
        if not found.is_file():
            fix = "give a path relative to the sweep file"
            raise InputError(f"{where}.{name}", "a configuration file", f"{str(path)!r}, which does not exist", fix)
    return tasks


def _options(value: object, where: str) -> Options:
    for key, item in _mapping(value, where).items():
        if isinstance(item, Mapping):
            fix = "write nested options with dots, model.adapter.max_rank: 8"
            raise InputError(f"{where}.{key}", "a plain value", "a mapping", fix)
    return dict(_mapping(value, where))


def _integers(value: object, where: str) -> tuple[int, ...]:
    items = _sequence(value, where)
    if not items or not all(type(item) is int and item >= 0 for item in items) or len(set(items)) < len(items):
        raise InputError(where, "a list of different whole numbers, 0 or larger", str(value), "write [1, 2, 4]")
    return tuple(items)


def _integer(value: object, where: str) -> int:
    if type(value) is not int or value < 0:
        raise InputError(where, "a whole number, 0 or larger", repr(value), "write 1")
    return value


def _numbers(value: object, where: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(item) for item in _sequence(value, where))  # YAML reads 4e-4 as a text
    except (TypeError, ValueError):
        numbers = (0.0,)
    if not all(number > 0 for number in numbers) or len(set(numbers)) < len(numbers):
        raise InputError(where, "a list of different numbers above 0", str(value), "write [4e-4, 1e-3]")
    return numbers


def _sequence(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(where, "a list", repr(value), "write [first, second]")
    return value


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(where.rstrip(":"), "a mapping of keys to values", repr(value), "see docs/sweeps.md")
    return {str(key): item for key, item in value.items()}


def _join(where: str, key: str) -> str:
    return f"{where} {key}" if where.endswith(":") else f"{where}.{key}"
