"""Where runs are carried out: here one after another, in local processes, on SLURM, on Ray."""

import importlib
import os
import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from dylora.errors import InputError
from dylora.runs.record import RunRecord, read_record
from dylora.sweep.expansion import Run
from dylora.sweep.perform import Start, perform
from dylora.sweep.start import OwnProcess

Results = Iterator[tuple[Run, RunRecord]]


def one_after_another(runs: Sequence[Run], start: Start) -> Results:
    """Runs in their order; after one that was interrupted, no other."""
    for run in runs:
        record = perform(run, start)
        yield run, record
        if record.status == "interrupted":
            return


def local_processes(runs: Sequence[Run], jobs: int) -> Results:
    """Runs in processes on this machine, as they end.

    Args:
        runs: The runs.
        jobs: How many at a time. They share out the GPUs that this process may use, and the processor's cores.
    """
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    slots = [OwnProcess(environment) for environment in shares(jobs, visible_gpus(), threads)]
    free: queue.SimpleQueue[OwnProcess] = queue.SimpleQueue()
    for slot in slots:
        free.put(slot)

    def carry_out(run: Run) -> tuple[Run, RunRecord | None]:
        slot = free.get()
        try:
            return run, None if slot.is_interrupted else perform(run, slot)
        finally:
            free.put(slot)

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(carry_out, run) for run in runs]
        try:
            for future in as_completed(futures):
                run, record = future.result()
                if record is not None:
                    yield run, record
        except (KeyboardInterrupt, GeneratorExit):
            for slot in slots:
                slot.interrupt()
            raise


def shares(jobs: int, gpus: Sequence[str], threads: str) -> list[dict[str, str]]:
    """The environment of each of several processes: its GPUs, where there are some, and its number of threads.

    >>> shares(2, ["0", "1", "2", "3"], "4")[1]
    {'OMP_NUM_THREADS': '4', 'CUDA_VISIBLE_DEVICES': '1,3'}
    >>> [share["CUDA_VISIBLE_DEVICES"] for share in shares(3, ["0", "1"], "1")]
    ['0', '1', '0']
    """
    environments = []
    for job in range(jobs):
        environment = {"OMP_NUM_THREADS": threads}
        if gpus:
            own = gpus[job::jobs] or [gpus[job % len(gpus)]]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        environments.append(environment)
    return environments


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def slurm(runs: Sequence[Run], folder: Path, options: Mapping[str, Any]) -> Results:
    """Runs as jobs of a SLURM cluster, through submitit, as they end.

    Args:
        runs: The runs.
        folder: Where submitit keeps its files.
        options: Parameters of `submitit.AutoExecutor.update_parameters`; `cluster` chooses another one (`local`).

    Raises:
        InputError: If submitit is not installed, or there is no such cluster or parameter.
    """
    submitit = _engine("submitit", "slurm")
    parameters = {"name": "dylora", **options}
    cluster = parameters.pop("cluster", "slurm")
    try:
        executor = submitit.AutoExecutor(folder=folder / "%j", cluster=cluster)
        executor.update_parameters(**parameters)
    except (RuntimeError, ValueError, NameError) as error:
        given = str(error).partition("\n")[0]
        fix = "--engine_option cluster=local tries it on this machine"
        raise InputError("--engine_option", "of a cluster that is there", given, fix) from error
    with executor.batch():
        jobs = {executor.submit(perform, run, OwnProcess()): run for run in runs}
    for job in submitit.helpers.as_completed(list(jobs)):
        yield jobs[job], _ended(jobs[job], job.exception())


def ray(runs: Sequence[Run], options: Mapping[str, Any]) -> Results:
    """Runs as tasks of a Ray cluster, as they end.

    Args:
        runs: The runs.
        options: Options of a Ray task (`num_cpus`, `num_gpus`, …); `address` is that of the cluster.

    Raises:
        InputError: If Ray is not installed.
    """
    module = _engine("ray", "ray")
    parameters = dict(options)
    module.init(address=parameters.pop("address", None), ignore_reinit_error=True)
    task = module.remote(perform).options(**parameters)
    waiting = {task.remote(run, OwnProcess()): run for run in runs}
    while waiting:
        (done,), _ = module.wait(list(waiting), num_returns=1)
        run = waiting.pop(done)
        try:
            module.get(done)
            error = None
        except module.exceptions.RayError as caught:
            error = caught
        yield run, _ended(run, error)


def _ended(run: Run, error: BaseException | None) -> RunRecord:
    """The record of a run that another machine carried out; it fails if the job itself did."""
    record = read_record(run.place) or run.record()
    if error is None:
        return record
    words = str(error).strip().rpartition("\n")[2] or type(error).__name__
    record = replace(record, status="failed", error=words)
    record.write(run.place)
    return record


def _engine(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        fix = f'pip install "dylora[{extra}]"'
        raise InputError("--engine", "one that is installed", f"{extra!r}, which needs {module}", fix) from error
