"""A file is the old one or the new one, whatever happens while it is written."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from dylora.errors import InputError
from dylora.whole_files import UnwritableError, check_writable, is_of_the_disk, whole_file, write_whole


def test_the_new_content_takes_the_place_of_the_old_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "a.json"
    for content in ("old", "né\n", b"\xff"):
        write_whole(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [each.name for each in path.parent.iterdir()] == ["a.json"]


def test_what_is_written_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("sync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names)))
    write_whole(tmp_path / "a", "x")
    assert done == ["sync", "rename", "sync"]  # the file, its name, the folder


def test_it_is_written_beside_the_target_even_where_a_link_leads_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "disk" / "real").write_text("old")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "disk" / "real")
    with whole_file(tmp_path / "run" / "link") as file:
        file.write(b"new")
        assert len(list((tmp_path / "disk").iterdir())) == 2
    assert (tmp_path / "run" / "link").is_symlink()
    assert (tmp_path / "disk" / "real").read_text() == "new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_is_told_in_one_line(tmp_path, monkeypatch, step):
    (tmp_path / "a").write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(UnwritableError, match=r"a: must be one that can be written, got .*No space left") as caught:
        write_whole(tmp_path / "a", "new")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_an_exception_of_the_writer_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as file:
        file.write(b"half" * (file.write(b"half") // 0))
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_process_that_is_killed_on_the_way_leaves_the_old_file(tmp_path, step):
    (tmp_path / "a").write_text("old")
    lines = [
        "import os, signal, sys",
        "from pathlib import Path",
        "from dylora.whole_files import write_whole",
        f"os.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)",
        "write_whole(Path(sys.argv[1]), 'new')",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines), str(tmp_path / "a")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_text() == "old"
    write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_a_place_is_checked_without_leaving_anything(tmp_path):
    check_writable("--output", tmp_path / "new" / "deep")
    assert not list(tmp_path.iterdir())


def test_a_place_below_a_file_or_without_room_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--output: must be a folder that can be written, got .*file is a file"):
        check_writable("--output", tmp_path / "file" / "deep")
    with pytest.raises(InputError, match=r"--output: must be a folder with 1048576.0 GiB free, got"):
        check_writable("--output", tmp_path, 2**50)

    def read_only(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(InputError, match=r"--output: must be a folder that can be written, got .*Read-only"):
        check_writable("--output", tmp_path)


def test_disk_errors_are_told_from_others():
    assert is_of_the_disk(OSError(errno.EROFS, ""))
    assert is_of_the_disk(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_of_the_disk(FileNotFoundError(errno.ENOENT, ""))
