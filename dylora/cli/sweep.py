"""`python -m dylora sweep`: an experiment of many runs from one file."""

import contextlib
import difflib
import io
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dylora.adapters.cuts import CUTS
from dylora.cli.commands import typed
from dylora.cli.plain_parser import PlainParser
from dylora.errors import InputError
from dylora.report.printed import TABLES
from dylora.runs.folders import ROOT
from dylora.runs.record import read_record
from dylora.runs.yaml_text import parse_yaml
from dylora.shipped import find_file
from dylora.sweep import engines
from dylora.sweep.configuration import Settings, deciding, devices
from dylora.sweep.expansion import Run, check_places, choose, expand
from dylora.sweep.file import SweepFile, read_sweep
from dylora.sweep.lock import locked
from dylora.sweep.run import Engine, nothing, run_sweep
from dylora.sweep.start import InProcess
from dylora.terminal import StateLine, is_terminal

Main = Callable[[Sequence[str]], None]
EngineName = Literal["local", "slurm", "ray"]


def build_parser() -> PlainParser:
    """The command's options."""
    parser = PlainParser(prog=typed("sweep"), description="Run an experiment: systems x tasks x seeds, from one file.")
    add = parser.add_argument
    add("file", type=str, metavar="FILE", help="Sweep file, or the name of one that comes with dylora, such as table2.")
    add("--preset", type=str | None, default=None, help="Size of the experiment that the file names, such as small.")
    add("--seeds", type=str | None, default=None, help="Seeds in the place of the file's: 10,42.")
    add("--systems", type=str | None, default=None, help="Only these systems of the file: dylora,lora.")
    add("--tasks", type=str | None, default=None, help="Only these tasks of the file: mrpc,rte.")
    text = "Option of fit for all runs, KEY=VALUE, over what the file says; may be repeated."
    add("--set", type=str, action="append", default=[], metavar="KEY=VALUE", help=text)
    add("--root", type=str, default=ROOT, help="Folder of all sweeps; the runs lie in <root>/<name>/.")
    text = "Name of the sweep, the folder that its runs share; that of the file, with the preset, if left out."
    add("--name", type=str | None, default=None, help=text)
    text = "Run this many processes at a time on this machine; without it, one run after another in this process."
    add("--jobs", type=int | None, default=None, help=text)
    text = "Where runs are carried out: on this machine, or on a SLURM (submitit) or Ray cluster."
    add("--engine", type=EngineName, default="local", help=text)
    text = "Parameter of the cluster's engine, KEY=VALUE, such as slurm_partition=gpu or num_gpus=1; may be repeated."
    add("--engine_option", type=str, action="append", default=[], metavar="KEY=VALUE", help=text)
    add("--dry_run", action="store_true", help="List the runs, what is finished of them, and stop.")
    return parser


def sweep(arguments: Sequence[str], main: Main) -> None:
    """Carry out the command; ends the process unless all is well.

    Args:
        arguments: The options of the command.
        main: The main function of the command line.

    Raises:
        InputError: If the file or an option is wrong.
    """
    options = build_parser().parse_args(list(arguments))
    path = Path(find_file("experiments", options.file, "FILE"))
    experiment = _experiment(path, options)
    if options.name is not None and not options.name.strip():
        raise InputError("--name", "a name", "an empty one", "leave it out for that of the file")
    if Path(options.root).exists() and not Path(options.root).is_dir():
        raise InputError("--root", "a folder", f"{options.root!r}, which is a file", "give another one")
    name = options.name or (f"{path.stem}-{options.preset}" if options.preset else path.stem)
    overrides = pairs("--set", options.set)
    engine = _engine(options, main, Path(options.root) / name)
    runs = resolve_options(expand(experiment, name, Path(options.root), overrides), main, str(path))
    for note in check_places(runs):
        print(note, file=sys.stderr)
    if options.dry_run:
        _list(runs)
        return
    if options.engine == "local" and options.jobs is None:
        _check_devices(runs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run saves and stops at either signal
    with locked(Path(options.root) / name):
        show = StateLine(sys.stdout).show if is_terminal() else nothing
        status = run_sweep(runs, engine, partial(print, flush=True), options.jobs or 1, show)
    if status:
        sys.exit(status)
    print(f"Tables:  python -m dylora report {Path(options.root) / name}{_table(experiment)}")


def resolve_options(runs: Sequence[Run], main: Main, path: str) -> list[Run]:
    """Have each system's options on each task parsed before the first run, so that a slip does not fail them all.

    Returns:
        The runs with their resolved configurations.

    Raises:
        InputError: Naming the system, the task and what is wrong; for an unknown option, the nearest one too.
    """
    found: dict[tuple[str, str], Settings] = {}
    for run in runs:
        if (run.system, run.task) in found:
            continue
        status, text, message = _carried_out([*run.command, "--print_config=all"], main)
        where = f"{path}: system {run.system}, task {run.task}"
        if status:
            raise InputError(where, "options that fit takes", message, "correct the file or --set")
        settings = found[run.system, run.task] = deciding(parse_yaml(text, where))
        if trial := settings.get("trainer.fast_dev_run"):
            fix = "set trainer.max_steps and trainer.limit_val_batches for a short sweep"
            raise InputError("trainer.fast_dev_run", "false in a sweep: a trial keeps no figures", trial, fix)
    return [replace(run, configuration=found[run.system, run.task]) for run in runs]


def pairs(option: str, items: Sequence[str]) -> dict[str, Any]:
    """Options written KEY=VALUE, their values read as YAML.

    Raises:
        InputError: If one is not.

    >>> pairs("--set", ["trainer.max_epochs=2", "data.data_dir=glue"])
    {'trainer.max_epochs': 2, 'data.data_dir': 'glue'}
    """
    found = {}
    for item in items:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise InputError(option, "KEY=VALUE", repr(item), f"write {option} trainer.max_epochs=2")
        found[key.removeprefix("--")] = parse_yaml(value, f"{option} {key}")
    return found


def _experiment(path: Path, options: Any) -> SweepFile:  # noqa: ANN401
    experiment = read_sweep(path)
    _check_names(experiment, path)
    if options.preset is not None:
        experiment = experiment.with_preset(options.preset)
    return choose(experiment, _names(options.systems), _names(options.tasks), _seeds(options.seeds))


def _check_names(experiment: SweepFile, path: Path) -> None:
    """Refuse what is used only when training has ended: cuts, and the table of the paper."""
    for name, system in experiment.systems.items():
        for kind in system.cuts:
            if kind not in CUTS:
                near = difflib.get_close_matches(kind, CUTS, 1)
                fix = f"did you mean {near[0]}?" if near else "choose among them"
                raise InputError(f"{path}: systems.{name}.cuts", "among " + ", ".join(CUTS), repr(kind), fix)
    if experiment.table is not None and experiment.table not in TABLES:
        fix = "leave it out for an experiment of your own"
        raise InputError(f"{path}: table", "one of " + ", ".join(TABLES), repr(experiment.table), fix)


def _engine(options: Any, main: Main, folder: Path) -> Engine:  # noqa: ANN401
    jobs, parameters = options.jobs, pairs("--engine_option", options.engine_option)
    if options.engine != "local":
        if jobs is not None:
            raise InputError("--jobs", "left out with a cluster's engine", jobs, "the cluster decides")
        if options.engine == "slurm":
            return partial(engines.slurm, folder=folder / "slurm", options=parameters)
        return partial(engines.ray, options=parameters)
    if parameters:
        raise InputError("--engine_option", "left out without --engine slurm or ray", parameters, "leave it out")
    if jobs is None:
        return partial(engines.one_after_another, start=InProcess(main))
    if jobs < 1:
        raise InputError("--jobs", "at least 1", jobs, "or leave it out to run in this process")
    return partial(engines.local_processes, jobs=jobs)


def _list(runs: Sequence[Run]) -> None:
    for run in runs:
        record = read_record(run.place)
        rates = ", ".join(f"{rate:g}" for rate in run.learning_rates)
        note = f" (learning rate: the best of {rates})" if rates else ""
        print(f"{run.place}: {record.status if record else 'not begun'}{note}")
        print(f"  python -m dylora {' '.join(run.command)}")
    print(f"{len(runs)} runs")


def _check_devices(runs: Sequence[Run]) -> None:
    """Refuse runs on several devices in this process: Lightning would start the whole sweep once for each."""
    for run in runs:
        if (count := devices(run.configuration, len(engines.visible_gpus()))) > 1:
            given = f"none, with {count} devices (system {run.system}, task {run.task})"
            fix = "add --jobs 1, or --set trainer.devices=1"
            raise InputError(
                "--jobs", "given for runs on several devices, which need a process of their own", given, fix
            )


def _carried_out(arguments: list[str], main: Main) -> tuple[object, str, str]:
    """Exit status of a command, what it printed, and its error if it was refused."""
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as error:
            status = error.code
    return status, out.getvalue(), err.getvalue().strip().removeprefix("dylora: error: ")


def _names(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def _seeds(text: str | None) -> list[int]:
    parts = _names(text)
    if (text is not None and not parts) or not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise InputError("--seeds", "different whole numbers, 0 or larger", repr(text), "write 10,42,4242")
    return [int(part) for part in parts]


def _table(experiment: SweepFile) -> str:
    return f" --table {experiment.table}" if experiment.table else ""
