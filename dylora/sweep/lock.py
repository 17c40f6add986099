"""One sweep at a time in a folder: two would train every run twice."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from dylora.errors import InputError
from dylora.whole_files import check_writable

LOCK = "sweep.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder of a sweep inside the `with` block.

    The kernel gives the lock of a process back that ends in any way. The file says who holds it, for file systems whose
    locks do not reach other machines; it is empty when nobody does.

    Args:
        folder: The folder; made if it is not there.

    Raises:
        InputError: If another sweep holds it, one of another machine has not given it back, or it cannot be written.
    """
    check_writable("--root", folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _held(path, _holder(file)) from error
        holder = _holder(file)
        if holder and holder.get("host") != socket.gethostname():
            raise _held(path, holder, f", or delete {path} if that one has ended")
        started = datetime.now(UTC).isoformat(timespec="seconds")
        _write(file, json.dumps({"process": os.getpid(), "host": socket.gethostname(), "started": started}))
        try:
            yield
        finally:
            _write(file, "")


def _holder(file: TextIO) -> dict[str, object]:
    file.seek(0)
    try:
        found = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: TextIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _held(path: Path, holder: dict[str, object], more: str = "") -> InputError:
    who = f"process {holder.get('process', '?')} on {holder.get('host', '?')} since {holder.get('started', '?')}"
    fix = f"wait for it, give another --root or --name{more}"
    return InputError("--root", "a folder that no other sweep works in", f"{str(path.parent)!r}, held by {who}", fix)
