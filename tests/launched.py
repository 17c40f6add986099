"""Commands in several processes at once, as torchrun starts them; the libraries are loaded once for all.

Run as a script it reads a JSON list of pairs on its standard input, number of processes and arguments of a command, and
prints a JSON list with the exit statuses of each. `run` does that from a test.
"""

import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def run(folder: Path, *jobs: tuple[int, Sequence[object]]) -> list[list[int]]:
    """Run commands one after another, each in a number of processes; gives the exit statuses of each.

    Args:
        folder: The working folder; what process i of command n prints lies in `<n>-<i>.txt`.
        jobs: Number of processes, and arguments of the command.
    """
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    told = json.dumps([(count, list(map(str, arguments))) for count, arguments in jobs])
    command = [sys.executable, __file__]
    done = subprocess.run(
        command, input=told, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[list[int]] = json.loads(done.stdout)
    return found


def succeed(folder: Path, *jobs: tuple[int, Sequence[object]]) -> None:
    """As `run`; every process has to end with status 0."""
    for number, statuses in enumerate(run(folder, *jobs)):
        printed = [path.read_text()[-3000:] for path in sorted(folder.glob(f"{number}-*.txt"))]
        assert not any(statuses), "\n".join(printed)


def _launch(count: int, arguments: list[str], number: int) -> list[int]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = [_begin(place, count, port, arguments, number) for place in range(count)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _begin(place: int, count: int, port: int, arguments: list[str], number: int) -> int:
    """Fork a process that runs a command; gives its number."""
    if child := os.fork():
        return child
    with open(f"{number}-{place}.txt", "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if count > 1:
        ranks = {"RANK": place, "LOCAL_RANK": place, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
        where = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "tests"}
        os.environ.update({name: str(value) for name, value in {**ranks, **where}.items()})
        rank_zero_only.rank = place  # found out when Lightning was loaded
    status: object = 0
    try:
        command(arguments)
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    import torch
    from lightning_utilities.core.rank_zero import rank_zero_only

    import dylora.cli.lightning_cli  # noqa: F401 (loaded once for all processes)
    from dylora.cli import main as command

    torch.set_num_threads(1)
    print(json.dumps([_launch(*job, number) for number, job in enumerate(json.load(sys.stdin))]))
