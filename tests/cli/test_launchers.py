"""The ways to start several processes that docs/scale.md names, with two processes on this machine (gloo)."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import launched
import pytest
import tiny

from dylora.runs.checkpoints import read_checkpoint

NODES = ["--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2"]
SLURM = {
    "SLURM_JOB_ID": 1,
    "SLURM_JOB_NAME": "dylora",
    "SLURM_NTASKS": 2,
    "SLURM_NTASKS_PER_NODE": 1,
    "SLURM_LOCALID": 0,
}


def _free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _ended(commands, folder):
    """Run commands side by side; gives what each printed."""
    processes = []
    for arguments, more in commands:
        paths = os.pathsep.join([str(launched.TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {
            **os.environ,
            "PYTHONPATH": paths,
            "OMP_NUM_THREADS": "1",
            **{name: str(value) for name, value in more.items()},
        }
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes.append(subprocess.Popen(arguments, cwd=folder, env=environment, **pipes))
    try:
        printed = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n\n".join(printed)
    return printed


def _torchrun(fit, folder):
    port = _free_port()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    return _ended([([*launcher, "-m", *fit, "--trainer.strategy=ddp", "--trainer.devices=2"], {})], folder)


def _torchrun_on_two_nodes(fit, folder):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    launcher += ["--master_addr=127.0.0.1", f"--master_port={_free_port()}"]
    return _ended([([*launcher, f"--node_rank={node}", "-m", *fit, *NODES], {}) for node in (0, 1)], folder)


def _a_command_on_each_node(fit, folder):
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
    return _ended([([sys.executable, "-m", *fit, *NODES], {**meeting, "NODE_RANK": node}) for node in (0, 1)], folder)


def _slurm(fit, folder):
    """What `srun` sets for each of its tasks."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port(), **SLURM}
    tasks = [{**meeting, "SLURM_PROCID": node, "SLURM_NODEID": node} for node in (0, 1)]
    return _ended([([sys.executable, "-m", *fit, *NODES], task) for task in tasks], folder)


@pytest.mark.slow
@pytest.mark.parametrize("launch", [_torchrun, _torchrun_on_two_nodes, _a_command_on_each_node, _slurm])
def test_two_processes_make_one_run_and_one_of_them_speaks(tmp_path, launch):
    backbone = tiny.save_backbone(tmp_path / "backbone")
    recorded = {"trainer.callbacks+": "record.Record", "trainer.callbacks.folder": tmp_path / "record"}
    changes = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 2, "trainer.logger": "false", **recorded}
    printed = "\n".join(launch(["dylora", "fit", *tiny.options(backbone, tmp_path, **changes)], tmp_path))
    assert sorted(path.name for path in (tmp_path / "record").glob("*.json")) == ["process_0.json", "process_1.json"]
    assert printed.count("\nBest epoch") == 1
    assert [path.name for path in (tmp_path / "logs" / "restaurants").iterdir()] == ["version_0"]
    run = Path(tmp_path / "logs" / "restaurants" / "version_0")
    assert (run / "config.yaml").is_file()
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 2
