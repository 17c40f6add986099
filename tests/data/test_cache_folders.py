"""The row cache keeps within its bound, takes nothing from a run, and clears what killed processes left."""

import errno
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import Dataset

from dylora.data import cache_folders
from dylora.data.cache import cached
from dylora.data.cache_folders import RowCache

ROWS = {"index": list(range(500)), "length": [7] * 500, "truncated": [False] * 500}
UNBOUNDED, NOTHING = 1000.0, 0.0


def fetch(folder, name, gigabytes=UNBOUNDED):
    return cached(name, ("a",), lambda: Dataset.from_dict(ROWS), RowCache(folder, gigabytes))


def names(folder):
    return sorted(path.name.rpartition("-v1-")[0] or path.name for path in folder.iterdir())


def used(folder, name, seconds_ago):
    (file,) = folder.glob(f"{name}-v1-*/contents.json")
    os.utime(file, (time.time() - seconds_ago,) * 2)


def gigabytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def test_the_least_recently_used_go_until_the_rest_is_small_enough(tmp_path):
    for place, name in enumerate(("one", "two", "three")):
        fetch(tmp_path, name)
        used(tmp_path, name, seconds_ago=100 - place)
    fetch(tmp_path, "one")  # used again
    size = gigabytes(tmp_path)
    fetch(tmp_path, "four", size * 1.01)
    assert names(tmp_path) == ["four", "one", "three"]


def test_nothing_goes_below_the_bound(tmp_path):
    for name in ("one", "two", "three"):
        fetch(tmp_path, name)
    assert names(tmp_path) == ["one", "three", "two"]


def test_what_this_process_uses_stays(tmp_path):
    kept = fetch(tmp_path, "one")
    fetch(tmp_path, "two", NOTHING)
    fetch(tmp_path, "three", NOTHING)  # by now nobody has the second one's rows
    assert names(tmp_path) == ["one", "three"]
    assert kept["index"][:] == ROWS["index"]


def _use(folder, is_loaded, is_over):
    rows = fetch(folder, "one")
    is_loaded.set()
    is_over.wait(60)
    assert rows[3]["index"] == 3


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_what_another_process_uses_stays_until_it_ends(tmp_path, how):
    context = multiprocessing.get_context("spawn")
    is_loaded, is_over = context.Event(), context.Event()
    process = context.Process(target=_use, args=(tmp_path, is_loaded, is_over))
    process.start()
    assert is_loaded.wait(60)
    fetch(tmp_path, "two", NOTHING)
    assert "one" in names(tmp_path)
    if how == "is killed":
        process.kill()
    else:
        is_over.set()
    process.join(60)
    assert process.exitcode == (0 if how == "ends" else -9)
    fetch(tmp_path, "three", NOTHING)
    assert "one" not in names(tmp_path)


def test_folders_of_other_versions_go_first(tmp_path):
    for name in ("rte-train-v0-" + "0" * 20, "rte-train-" + "1" * 20):
        Dataset.from_dict(ROWS).save_to_disk(tmp_path / name)
    (tmp_path / ("rte-train-v0-" + "0" * 20) / "contents.json").write_text("{}")
    fetch(tmp_path, "rte")
    used(tmp_path, "rte", seconds_ago=1e6)
    (newest,) = tmp_path.glob("rte-v1-*")
    fetch(tmp_path, "last", gigabytes(newest) * 2.2)
    assert names(tmp_path) == ["last", "rte"]


def test_what_is_not_of_the_cache_is_left_alone(tmp_path):
    own = {"notes.txt": None, "results": "data.csv", "model-" + "0" * 20: "weights.bin", "parquet": "x.arrow"}
    for name, inner in own.items():
        (tmp_path / name).mkdir() if inner else (tmp_path / name).write_text("mine")
        if inner:
            (tmp_path / name / inner).write_text("mine")
    fetch(tmp_path, "one", NOTHING)
    fetch(tmp_path, "two", NOTHING)
    assert set(own) <= set(names(tmp_path))
    assert all((tmp_path / name / (inner or "")).exists() for name, inner in own.items())


def test_scratch_folders_of_killed_processes_are_cleared_and_those_in_work_are_not(tmp_path):
    for name, age in ((".unfinished-old", 7200), (".unfinished-new", 10)):
        (tmp_path / name / "new").mkdir(parents=True)
        (tmp_path / name / "new" / "data.arrow").write_bytes(bytes(100))
        for path in (tmp_path / name / "new" / "data.arrow", tmp_path / name / "new", tmp_path / name):
            os.utime(path, (time.time() - age,) * 2)
    fetch(tmp_path, "one")
    assert names(tmp_path) == [".unfinished-new", "one"]


def test_a_folder_that_vanishes_meanwhile_does_no_harm(tmp_path, monkeypatch):
    fetch(tmp_path, "one")

    def gone(folder):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(cache_folders, "_alone", gone)
    fetch(tmp_path, "two", NOTHING)
    assert "two" in names(tmp_path)


def _fetch_often(folder, numbers):
    for number in numbers:
        rows = fetch(folder, f"set{number % 4}", NOTHING)
        assert rows["index"][:] == ROWS["index"]


def test_processes_that_make_use_and_remove_the_same_rows_get_them_whole(tmp_path):
    context = multiprocessing.get_context("spawn")
    tasks = [(tmp_path, range(start, start + 40)) for start in range(3)]
    processes = [context.Process(target=_fetch_often, args=task) for task in tasks]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert not [name for name in names(tmp_path) if name.startswith(".")]


FULL = """
import resource, signal, sys
from pathlib import Path
from datasets import Dataset
from dylora.data.cache import cached
from dylora.data.cache_folders import RowCache
from dylora.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
rows = Dataset.from_dict({"index": list(range(100000)), "truncated": [False] * 100000})
try:
    cached("rte", ("a",), lambda: rows, RowCache(Path(sys.argv[1])))
except InputError as error:
    print(error)
"""


def test_a_disk_without_room_gives_one_line_and_leaves_nothing(tmp_path):
    found = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f"data.cache_dir: must be a folder that can be written, got {tmp_path}; (")
    assert found.stdout.count("\n") == 1
    assert list(Path(tmp_path).iterdir()) == []
