"""Rows made once, and a cache that never gives what was not asked for."""

import json
import os
import shutil
from pathlib import Path

import pytest
from datasets import Dataset, are_progress_bars_disabled

from dylora.data import cache
from dylora.data.cache import cached
from dylora.data.cache_folders import RowCache, default_cache_dir
from dylora.errors import InputError

ROWS = {
    "index": [0, 1, 2],
    "input_ids": [[5, 6], [7], [8, 9, 1]],
    "length": [2, 1, 3],
    "truncated": [False, True, False],
}


class Maker:
    """Gives the rows and counts how often it was asked."""

    calls = 0

    def __call__(self):
        self.calls += 1
        return Dataset.from_dict(ROWS)


def fetch(cache_dir, make=None, parts=("a", "b"), name="rte-train"):
    return cached(name, parts, make or Maker(), RowCache(cache_dir), {"tokenizer": "builtin/roberta"})


def test_the_rows_come_back_as_they_were_made(tmp_path):
    assert fetch(tmp_path).to_dict() == ROWS


def test_the_second_time_comes_from_the_cache(tmp_path):
    maker = Maker()
    first = fetch(tmp_path, maker)
    second = fetch(tmp_path, maker)
    assert maker.calls == 1
    assert first.to_dict() == second.to_dict()
    assert [path.name[:10] for path in tmp_path.iterdir()] == ["rte-train-"]


def test_other_parts_another_name_or_another_version_are_made_anew(tmp_path, monkeypatch):
    maker = Maker()
    fetch(tmp_path, maker)
    fetch(tmp_path, maker, parts=("a", "c"))
    fetch(tmp_path, maker, name="rte-test")
    monkeypatch.setattr(cache, "FORMAT_VERSION", "2")
    fetch(tmp_path, maker)
    assert maker.calls == 4
    assert len(list(tmp_path.iterdir())) == 4


def _flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("pattern", ["*.arrow", "state.json", "dataset_info.json"])
def test_one_flipped_bit_in_any_file_makes_the_rows_anew(tmp_path, pattern, place):
    expected = fetch(tmp_path).to_dict()
    (file,) = tmp_path.glob(f"*/{pattern}")
    _flip(file, int(place * file.stat().st_size))
    maker = Maker()
    assert fetch(tmp_path, maker).to_dict() == expected
    assert maker.calls == 1
    fetch(tmp_path, maker)
    assert maker.calls == 1


def test_a_start_reads_no_rows_to_compare_them_unless_a_file_was_changed(tmp_path, monkeypatch):
    fetch(tmp_path)
    read, digest = [], cache._digest
    monkeypatch.setattr(cache, "_digest", lambda path: read.append(path.suffix) or digest(path))
    assert fetch(tmp_path).to_dict() == ROWS
    assert read == []
    (file,) = tmp_path.glob("*/*.arrow")
    os.utime(file, ns=(1, 1))  # as after a copy of the folder
    maker = Maker()
    assert fetch(tmp_path, maker).to_dict() == ROWS
    assert (read, maker.calls) == ([".arrow"], 0)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": {}}', '{"sha256": []}', "\x00" * 80])
def test_rows_without_a_proper_list_of_files_are_made_anew(tmp_path, content):
    fetch(tmp_path)
    (file,) = tmp_path.glob("*/contents.json")
    file.write_text(content)
    maker = Maker()
    assert fetch(tmp_path, maker).to_dict() == ROWS
    assert maker.calls == 1


def test_a_folder_says_what_it_holds(tmp_path):
    fetch(tmp_path)
    (file,) = tmp_path.glob("rte-train-v1-*/contents.json")
    found = json.loads(file.read_text())
    assert {key: found[key] for key in ("name", "format", "tokenizer", "rows", "columns")} == {
        "name": "rte-train",
        "format": "1",
        "tokenizer": "builtin/roberta",
        "rows": 3,
        "columns": ["index", "input_ids", "length", "truncated"],
    }
    assert sorted(found["sha256"]) == sorted(path.name for path in file.parent.iterdir() if path != file)


@pytest.mark.parametrize("damage", ["truncated", "no state", "no json", "no list", "empty folder", "other columns"])
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    expected = fetch(tmp_path).to_dict()
    (folder,) = tmp_path.iterdir()
    (arrow,) = folder.glob("*.arrow")
    if damage == "truncated":
        arrow.write_bytes(arrow.read_bytes()[:300])
    elif damage == "no state":
        (folder / "state.json").unlink()
    elif damage == "no json":
        (folder / "dataset_info.json").write_text("{")
    elif damage == "no list":
        (folder / "contents.json").unlink()
    elif damage == "empty folder":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        shutil.rmtree(folder)
        Dataset.from_dict({"x": [1]}).save_to_disk(folder)
    maker = Maker()
    assert fetch(tmp_path, maker).to_dict() == expected
    assert maker.calls == 1
    fetch(tmp_path, maker)
    assert maker.calls == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_another_process_that_was_faster_does_no_harm(tmp_path):
    def make():
        fetch(tmp_path)  # While this process reads, the other one finishes.
        return Dataset.from_dict(ROWS)

    assert fetch(tmp_path, make)["length"][:] == [2, 1, 3]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(dataset, path):
        Path(path).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Dataset, "save_to_disk", full)
    with pytest.raises(InputError, match=r"data.cache_dir: .* \(No space left on device\)"):
        fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        fetch(tmp_path / "file" / "cache")
    assert str(caught.value) == (
        f"data.cache_dir: must be a folder that can be written, got {tmp_path}/file/cache; "
        "(Not a directory) free some space there, or give another one with --data.cache_dir"
    )


def test_no_progress_bars(tmp_path, capfd):
    fetch(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not are_progress_bars_disabled()


def test_default_folder_follows_xdg(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/dylora")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache_dir() == Path("/home/someone/.cache/dylora")
