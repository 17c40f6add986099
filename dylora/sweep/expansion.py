"""Which runs an experiment consists of, and where each lies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dylora.errors import InputError
from dylora.runs.folders import check_below
from dylora.runs.record import RunRecord, read_record
from dylora.sweep.configuration import Settings, changes
from dylora.sweep.file import Options, SweepFile, System, Tuning

_RATE = "model.learning_rate"
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Run:
    """One training run with the evaluations that follow it.

    Attributes:
        sweep: Name of the sweep.
        table: The paper's table, or None.
        system: Name of the system.
        label: How tables call it.
        task: Name of the task.
        config: The task's configuration file.
        seed: Seed of everything random.
        rank: The only rank, of a system that is trained once per rank.
        learning_rate: The learning rate, of a system with a grid, once it is known.
        learning_rates: The grid, while the learning rate is still to be chosen from it.
        options: Options of `fit` on top of the configuration file.
        cuts: Cuts to evaluate the last checkpoint under.
        root: Folder of all sweeps.
        tunes: Whether it only tells how good its learning rate is.
        configuration: All options that decide the figures of the system on the task; empty until it is resolved.
    """

    sweep: str
    table: str | None
    system: str
    label: str
    task: str
    config: Path
    seed: int
    rank: int | None
    learning_rate: float | None
    learning_rates: tuple[float, ...]
    options: Options
    cuts: tuple[str, ...]
    root: Path
    tunes: bool = False
    configuration: Settings = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """The run's folder, a function of what the run is."""
        place = self.root / self.sweep / self.system / self.task / ("tuning" if self.tunes else f"seed_{self.seed}")
        place = place if self.rank is None else place / f"rank_{self.rank}"
        return place if self.learning_rate is None else place / f"lr_{self.learning_rate:g}"

    @property
    def overrides(self) -> Options:
        """All options on top of the configuration file that decide the outcome."""
        return {**self.options, **self._own}

    @property
    def settings(self) -> Settings:
        """All options that decide the outcome, those of the configuration file and the defaults included."""
        return {**self.configuration, **self._own} if self.configuration else {}

    @property
    def _own(self) -> Options:
        """The options in which it differs from the other runs of its system on its task."""
        own: Options = {}
        if self.rank is not None:
            own |= {"model.adapter.max_rank": self.rank, "model.adapter.min_rank": self.rank}
        if self.learning_rate is not None:
            own[_RATE] = self.learning_rate
        return {**own, "seed_everything": self.seed}

    @property
    def command(self) -> list[str]:
        """The arguments that start it."""
        places = {"trainer.default_root_dir": str(self.place), "trainer.enable_progress_bar": False}
        values = {**places, **self.overrides}
        return ["fit", f"--config={self.config}", *(f"--{key}={_written(value)}" for key, value in values.items())]

    def record(self) -> RunRecord:
        """The record of a run that has not begun."""
        return RunRecord(
            self.sweep,
            self.table,
            self.system,
            self.label,
            self.task,
            self.seed,
            self.rank,
            self.learning_rate,
            self.overrides,
            self.command,
            settings=self.settings,
            tunes=self.tunes,
        )

    def at(self, learning_rate: float) -> "Run":
        """The same run with its learning rate chosen."""
        return replace(self, learning_rate=learning_rate, learning_rates=())


def expand(sweep: SweepFile, name: str, root: Path, overrides: Mapping[str, Any]) -> list[Run]:
    """All runs of an experiment, the first seed of everything first.

    Args:
        sweep: The experiment.
        name: Its name, the folder that its runs share.
        root: Folder of all sweeps.
        overrides: Options of `fit` that win over those of the file.

    Raises:
        InputError: If a name leads out of the root.
    """
    check_below("--name", name)
    for argument, names in (("systems", sweep.systems), ("tasks", sweep.tasks)):
        for each in names:
            check_below(argument, each)
    tuning, runs = sweep.tuning, []
    for seed in sweep.seeds:
        for task, config in sweep.tasks.items():
            for key, system in sweep.systems.items():
                options = {**sweep.common, **system.options, **overrides}
                label = system.label or key
                for rank in system.ranks or (None,):
                    rates = system.learning_rates
                    run = Run(
                        name, sweep.table, key, label, task, config, seed, rank, None, rates, options, system.cuts, root
                    )
                    runs += _first(run, tuning) if rates and seed == sweep.seeds[0] else [run]
    return runs


def _first(run: Run, tuning: Tuning | None) -> list[Run]:
    """The runs of a system's first seed: one for each learning rate, and, where these are apart, that of the seed."""
    if tuning is None:
        return [run.at(rate) for rate in run.learning_rates]
    trial = replace(run, seed=tuning.seed, options={**run.options, **tuning.options}, tunes=True)
    return [*(trial.at(rate) for rate in run.learning_rates), run]


def choose(sweep: SweepFile, systems: Sequence[str], tasks: Sequence[str], seeds: Sequence[int]) -> SweepFile:
    """A part of an experiment; nothing chosen means all.

    Raises:
        InputError: If a name is not in the file.
    """
    kept_systems: dict[str, System] = _pick(sweep.systems, systems, "--systems")
    kept_tasks: dict[str, Path] = _pick(sweep.tasks, tasks, "--tasks")
    return replace(sweep, systems=kept_systems, tasks=kept_tasks, seeds=tuple(seeds) or sweep.seeds)


def check_places(runs: Sequence[Run]) -> list[str]:
    """Refuse to go on with, or to skip, runs that were started with other options.

    What counts is the resolved configuration, wherever an option comes from: the sweep file, the task's configuration
    file, or the defaults.

    Returns:
        Notes on runs of which only the options of the sweep could be compared.

    Raises:
        InputError: Naming the first run and the options that differ.
    """
    unknown = []
    for run in runs:
        record = read_record(run.place)
        if record is None:
            continue
        if run.settings and record.settings:
            now = json.loads(json.dumps(run.settings))
            _refuse(run, record.settings, now, changes(record.settings, now))
            continue
        before, now = record.overrides, json.loads(json.dumps(run.overrides))
        _refuse(run, before, now, [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)])
        if run.settings:
            unknown.append(str(run.place))
    if not unknown:
        return []
    others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    words = "of an older version, without the task's configuration; only the options of the sweep were compared"
    return [f"{unknown[0]}{others}: {words}"]


def _refuse(run: Run, before: Options, now: Options, changed: Sequence[str]) -> None:
    if not changed:
        return
    shown = sorted(changed)[:_MOST_SHOWN]
    were = ", ".join(f"{key} {_shown(before, key)}" for key in shown)
    are = ", ".join(_shown(now, key) for key in shown) + (", …" if len(changed) > len(shown) else "")
    fix = f"now {are}: give another --root or --name, or delete the folder"
    raise InputError("--root", "a folder whose runs have the same options", f"{run.place} with {were}", fix)


def _shown(options: Options, key: str) -> str:
    value = options.get(key, "not set")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pick(items: Mapping[str, Any], names: Sequence[str], option: str) -> dict[str, Any]:
    for name in names:
        if name not in items:
            raise InputError(option, "among those of the file: " + ", ".join(items), repr(name), "choose from them")
    return {name: item for name, item in items.items() if name in names or not names}


def _written(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return json.dumps(value) if isinstance(value, list) else str(value)
