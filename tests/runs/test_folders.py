"""Run folders: never written over, found again."""

import json
import os

import pytest

from dylora.errors import InputError
from dylora.runs.folders import (
    checkpoint_of,
    discard_run,
    free_path,
    new_run_folder,
    newest_run,
    sweep_place,
    write_json,
)


def _run(folder, *checkpoints, age):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("{}")
    for name in checkpoints:
        path = folder / "checkpoints" / name
        path.write_bytes(b"")
        os.utime(path, (1e9 - age, 1e9 - age))
    return folder


def test_every_new_run_gets_the_next_free_folder(tmp_path):
    names = [new_run_folder(tmp_path, "rte").name for _ in range(3)]
    assert names == ["version_0", "version_1", "version_2"]


def test_a_refused_run_leaves_nothing_a_failed_one_what_it_wrote_and_no_other_is_touched(tmp_path):
    whole = _run(tmp_path / "rte" / "version_0", "last.ckpt", age=0)
    for is_refused in (False, True):
        discard_run(whole, is_refused)
        assert (whole / "checkpoints" / "last.ckpt").is_file()
        empty, written = (new_run_folder(tmp_path, "sst2") for _ in range(2))
        (written / "config.yaml").write_text("{}")
        discard_run(empty, is_refused)
        discard_run(written, is_refused)
        assert not empty.exists()
        assert written.exists() != is_refused
    (tmp_path / "sst2" / "version_1" / "config.yaml").unlink()
    discard_run(tmp_path / "sst2" / "version_1", False)
    assert not (tmp_path / "sst2").exists()


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "logs").write_text("")
    with pytest.raises(InputError, match=r"--trainer.default_root_dir: must be a folder that can be written, got"):
        new_run_folder(tmp_path / "logs", "rte")


def test_newest_run_goes_by_its_checkpoints_and_skips_runs_without(tmp_path):
    _run(tmp_path / "a" / "version_0", "best.ckpt", age=10)
    new = _run(tmp_path / "b" / "version_0", "last.ckpt", age=5)
    _run(tmp_path / "c" / "version_0", age=0)
    assert newest_run(tmp_path) == new


def test_a_run_inside_a_sweep_is_never_the_newest_unless_its_place_is_named(tmp_path):
    own = _run(tmp_path / "rte" / "version_0", "best.ckpt", age=10)
    place = tmp_path / "table2" / "lora" / "rte" / "seed_10" / "rank_1"
    inner = _run(place / "rte" / "version_0", "last.ckpt", age=0)
    (place / "run.json").write_text("{}")
    assert newest_run(tmp_path) == own
    assert newest_run(place) == newest_run(place / "rte") == inner
    assert sweep_place(inner) == place
    assert sweep_place(own) is None
    with pytest.raises(InputError, match=rf"runs of sweeps only; name one of them: --config {inner}/config.yaml"):
        newest_run(tmp_path / "table2")


def test_no_run_is_one_line_with_the_way_out(tmp_path):
    with pytest.raises(InputError, match=r"which has none; train first"):
        newest_run(tmp_path / "logs")


def test_checkpoint_is_the_best_or_else_the_newest(tmp_path):
    both = _run(tmp_path / "a", "best.ckpt", "last.ckpt", age=3)
    assert checkpoint_of(both).name == "best.ckpt"
    (both / "checkpoints" / "best.ckpt").unlink()
    assert checkpoint_of(both).name == "last.ckpt"
    (both / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(InputError, match=r"give --ckpt_path FILE"):
        checkpoint_of(both)


def test_free_path_numbers_behind_what_exists(tmp_path):
    path = tmp_path / "test.jsonl"
    for name in ("test.jsonl", "test-1.jsonl", "test-2.jsonl"):
        assert free_path(path).name == name
        free_path(path).write_text("")


def test_a_file_is_replaced_whole_and_a_failed_write_leaves_the_old_one(tmp_path):
    path = tmp_path / "cuts" / "svd.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": [1, 2.5]})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": [1, 2.5]}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../../evil", ""])
def test_a_run_lies_below_its_root(tmp_path, name):
    with pytest.raises(InputError, match=r"data.name: must be a name of a folder below the root"):
        new_run_folder(tmp_path / "logs", name)
    assert not list(tmp_path.iterdir())
