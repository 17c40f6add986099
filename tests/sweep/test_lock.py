"""Two sweeps do not work in the same folder; who ends in any way gives it back."""

import json
import os
import subprocess
import sys

import pytest

from dylora.errors import InputError
from dylora.sweep.lock import LOCK, locked

_HOLD = """
import os, signal, sys
from pathlib import Path
from dylora.sweep.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _refused(folder):
    with pytest.raises(InputError, match=r"--root: must be a folder that no other sweep works in, got") as caught:
        locked(folder).__enter__()
    return str(caught.value)


def test_a_second_sweep_is_refused_and_named_until_the_first_has_ended(tmp_path):
    with locked(tmp_path / "new"):
        assert f"process {os.getpid()} on " in _refused(tmp_path / "new")
        with locked(tmp_path / "other"):
            pass
    assert (tmp_path / "new" / LOCK).read_text() == ""
    with locked(tmp_path / "new"):
        pass


def test_the_lock_of_a_killed_process_is_given_back(tmp_path):
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert f"process {process.pid} on " in _refused(tmp_path)
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / LOCK).read_text())["process"] == process.pid  # stale
    with locked(tmp_path):
        pass


def test_one_of_another_machine_is_not_taken_for_stale(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"process": 7, "host": "elsewhere", "started": "2026-01-01"}))
    message = _refused(tmp_path)
    assert "process 7 on elsewhere since 2026-01-01" in message
    assert f"delete {tmp_path / LOCK} if that one has ended" in message
    (tmp_path / LOCK).write_text("{")
    with locked(tmp_path):
        pass
