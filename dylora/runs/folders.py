"""Where runs lie: one new folder each, found again by what is in it."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from dylora.errors import InputError
from dylora.runs.yaml_text import read_yaml
from dylora.whole_files import write_whole

ROOT = "logs"
CONFIG = "config.yaml"
CHECKPOINTS = "checkpoints"
ADAPTER_FILE = "dylora.json"
"""What a folder of dylora, which is no run, is known by."""
RUN_FILE = "run.json"
"""What a sweep writes into the place of each of its runs; the run's own folders lie below it."""


def check_below(argument: str, name: str) -> None:
    """Refuse a name that leads out of the folder that its own is put into.

    Args:
        argument: What gives the name.
        name: The name, which may have folders in it.

    Raises:
        InputError: If it is empty, absolute, leads upwards or cannot be printed.
    """
    path = PurePath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise InputError(argument, "a name of a folder below the root", repr(name), "choose a name without .. and /")


def new_run_folder(root: Path, name: str) -> Path:
    """Create `root/name/version_<n>` for the first n that is free; an existing run is never touched.

    Raises:
        InputError: If the folder cannot be created, or the name leads out of the root.
    """
    check_below("data.name", name)
    number = 0
    try:
        while True:
            folder = root / name / f"version_{number}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        allowed = "a folder that can be written"
        given = f"{str(root)!r} ({error.strerror}: {error.filename})"
        raise InputError("--trainer.default_root_dir", allowed, given, "choose another folder") from error


def discard_run(folder: Path, is_refused: bool) -> None:
    """Remove what a run that failed before its first checkpoint leaves, and the two folders around it if empty.

    Args:
        folder: As `new_run_folder` made it.
        is_refused: Its input was wrong, or it was interrupted before its first step, so that its configuration is of
            no use: it goes, too.
    """
    with contextlib.suppress(OSError):
        if is_refused and not _checkpoints(folder):
            shutil.rmtree(folder)
        else:
            folder.rmdir()
        folder.parent.rmdir()
        folder.parent.parent.rmdir()


def newest_run(root: Path) -> Path:
    """The run under a folder whose checkpoints were written last; the runs inside a sweep are taken only by name.

    Raises:
        InputError: If there is none with a checkpoint.
    """
    runs = [path.parent for path in root.rglob(CONFIG) if any((path.parent / CHECKPOINTS).glob("*.ckpt"))]
    if not runs:
        given = f"{str(root)!r}, which has none"
        fix = "train first (python -m dylora fit --config demo), or give --config and --ckpt_path"
        raise InputError("--config", "given where there is no run with a checkpoint", given, fix)
    own = [run for run in runs if sweep_place(run, root) is None]
    if not own:
        given = f"{str(root)!r}, which has runs of sweeps only"
        fix = f"name one of them: --config {_newest(runs) / CONFIG}"
        raise InputError("--config", "given where every run belongs to a sweep", given, fix)
    return _newest(own)


def sweep_place(run: Path, root: Path | None = None) -> Path | None:
    """The place in a sweep that a run belongs to, the folder with its `run.json`; None outside a sweep.

    Args:
        run: Folder of the run, `<place>/<task>/version_<n>`.
        root: Look only below this folder: whoever names a place, or a folder in it, means the runs there.
    """
    place = run.parent.parent
    is_named = root is not None and root.is_relative_to(place)
    return place if (place / RUN_FILE).is_file() and not is_named else None


def checkpoint_of(run: Path) -> Path:
    """The checkpoint of a run to evaluate: `best.ckpt`, or the newest one.

    Raises:
        InputError: If it has none.
    """
    best = run / CHECKPOINTS / "best.ckpt"
    if best.is_file():
        return best
    if not (found := _checkpoints(run)):
        fix = "give --ckpt_path FILE"
        raise InputError("--ckpt_path", "given for a run without checkpoints", f"none in {str(run)!r}", fix)
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def read_config(run: Path) -> Mapping[str, Any]:
    """The options that a run was made with, those of a class beside its `class_path`; empty if they are not there."""
    try:
        content = read_yaml(run / CONFIG, "--config")
    except InputError:
        return {}
    if not isinstance(content, Mapping):
        return {}
    return {key: _flat(value) for key, value in content.items()}


def _flat(options: Any) -> Any:  # noqa: ANN401
    """The options of a class without the level `init_args`, as files of earlier versions have them."""
    if not isinstance(options, Mapping) or "class_path" not in options:
        return options
    return {"class_path": options["class_path"], **(options.get("init_args") or {})}


def cut_file(folder: Path, cut: str) -> Path:
    """Where the figures of a cut lie in a run.

    >>> cut_file(Path("version_0"), "alpha/max_rank").as_posix()
    'version_0/cuts/alpha-max_rank.json'
    """
    return folder / "cuts" / f"{cut.replace('/', '-')}.json"


def free_path(path: Path) -> Path:
    """The path itself, or with `-1`, `-2`, … before its suffix where it exists already."""
    number, candidate = 0, path
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    """Write a JSON file at once: a reader finds the old content or the new one, never a part of it."""
    write_whole(path, json.dumps(content, indent=1) + "\n")


def _newest(runs: list[Path]) -> Path:
    return max(runs, key=lambda run: (max(path.stat().st_mtime_ns for path in _checkpoints(run)), str(run)))


def _checkpoints(run: Path) -> list[Path]:
    return list((run / CHECKPOINTS).glob("*.ckpt"))
