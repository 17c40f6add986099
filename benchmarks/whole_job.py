"""Seconds from the command to the table of every rank: DyLoRA, a LoRA for each rank, and one LoRA in order.

    python benchmarks/whole_job.py --backbone DIR --data GLUE --tasks mrpc,sst2 --steps 345 --threads 2

(a) one DyLoRA run with every rank evaluated each epoch, (b) a LoRA run of `Trainer` and PEFT for each rank, as their
users write it (`benchmarks/lora_run.py`), (c) one run of the default recipe, whose LoRA is put in order and evaluated
at every rank. Each run is a process of its own with the same steps, rows a step, learning rate, length and validation
rows, and a cache that is empty at the start of each way. The last line is the ratio of (a) to (b), over all tasks. 345
steps are three epochs of MRPC.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import timing
import torch

from dylora.assets import asset_path
from dylora.data.sources.embedded import entailment

RANKS = 8
_LORA_RUN = Path(__file__).with_name("lora_run.py")


@dataclass(frozen=True)
class Job:
    """What all ways do.

    Attributes:
        task: Name of the task.
        backbone: Folder of the backbone.
        data: Folder of GLUE.
        ranks: Largest rank.
        steps: Optimizer steps.
        batch_size: Rows of a step.
        learning_rate: The highest one of the schedule.
        threads: Threads of each process.
    """

    task: str
    backbone: Path
    data: Path
    ranks: int
    steps: int
    batch_size: int
    learning_rate: float
    threads: int


def process(command: Sequence[str], folder: Path, threads: int) -> None:
    """Run a command in a folder, which has its caches too; what it says is shown if it fails."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    caches = {"XDG_CACHE_HOME": str(folder / "cache"), "HF_DATASETS_CACHE": str(folder / "cache" / "datasets")}
    environment = {**os.environ, **caches, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")


def one_run(job: Job, recipe: str, folder: Path) -> list[float]:
    """`fit` with a recipe; the accuracy at each rank."""
    options = {
        "--config": "demo",
        "--rank_sampling.recipe": recipe,
        "--model.backbone": job.backbone,
        "--model.adapter.max_rank": job.ranks,
        "--model.learning_rate": job.learning_rate,
        "--data.task": job.task,
        "--data.train_batch_size": job.batch_size,
        "--data.eval_batch_size": job.batch_size,
        "--trainer.max_steps": job.steps,
        "--trainer.max_epochs": -1,
        "--trainer.accelerator": "cpu",
    }
    if job.task != "restaurants":
        options["--data.data_dir"] = job.data
    process(["-m", "dylora", "fit", *(f"{name}={value}" for name, value in options.items())], folder, job.threads)
    (found,) = folder.glob("logs/*/version_0/rank_metrics.json")
    return [float(value) for value in json.loads(found.read_text())["last"]["metrics"]["accuracy"].values()]


def one_run_a_rank(job: Job, folder: Path) -> list[float]:
    """A LoRA run of `Trainer` and PEFT for each rank; the accuracy at each."""
    return [lora_run(job, rank, folder) for rank in range(1, job.ranks + 1)]


def lora_run(job: Job, rank: int, folder: Path) -> float:
    """One of them."""
    output = folder / f"rank_{rank}"
    sizes = {"rank": rank, "steps": job.steps, "batch_size": job.batch_size, "learning_rate": job.learning_rate}
    places = {"task": job.task, "backbone": job.backbone, "data": job.data, "output": output}
    arguments = [f"--{name}={value}" for name, value in {**places, **sizes}.items()]
    process([str(_LORA_RUN), *arguments], folder, job.threads)
    return float(json.loads((output / "metrics.json").read_text())["eval_accuracy"])


WAYS = {
    "(a) one DyLoRA run, every rank": lambda job, folder: one_run(job, "dylora", folder),
    "(b) a LoRA run for each rank, Trainer and PEFT": one_run_a_rank,
    "(c) one LoRA run in order, every rank": lambda job, folder: one_run(job, "sorted", folder),
}


def embedded_task(folder: Path) -> Path:
    """The task of the package in the layout of GLUE."""
    (folder / "restaurants").mkdir()
    for split, name in (("train", "train"), ("validation", "dev")):
        rows = entailment(split)
        with (folder / "restaurants" / f"{name}.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_NONE)
            writer.writeheader()
            writer.writerows(rows)
    return folder


def measure(job: Job) -> dict[str, float]:
    """Seconds of each way; says what it found."""
    seconds = {}
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            found = way(job, Path(folder))
            seconds[name] = time.perf_counter() - begin
        values = " ".join(f"{100 * value:.1f}" for value in found)
        print(f"{job.task} {name}: {seconds[name]:.1f} s, accuracy {values}", flush=True)
    return seconds


def main() -> None:
    """Parse the command line, measure, print."""
    parser = timing.parser(__doc__, repetitions=1)
    parser.add_argument("--backbone", type=Path, help="folder of the backbone")
    parser.add_argument("--data", type=Path, help="folder of GLUE in the official layout")
    parser.add_argument("--tasks", default="mrpc,sst2", help="of mrpc and sst2 (default: both)")
    parser.add_argument("--steps", type=int, default=345, help="optimizer steps of a run (default: 345)")
    parser.add_argument("--batch_size", type=int, default=32, help="rows of a step (default: 32)")
    parser.add_argument("--learning_rate", type=float, default=1e-3, help="default: 0.001")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.quick and not (options.backbone and options.data):
        parser.error("--backbone and --data are needed, or --quick")
    with tempfile.TemporaryDirectory() as place:
        jobs = jobs_of(options, Path(place))
        runs = timing.in_turns({job.task: partial(measure, job) for job in jobs}, options.repetitions)
    total = {name: sum(statistics.median(run[name] for run in of_task) for of_task in runs.values()) for name in WAYS}
    print(f"{jobs[0].steps} steps of {jobs[0].batch_size} rows, ranks 1 to {jobs[0].ranks}; all tasks:")
    first, second, _ = WAYS
    timing.show(total, "s", (first, second))


def jobs_of(options: argparse.Namespace, place: Path) -> list[Job]:
    """A job a task; that of `--quick` is the package's own task and backbone."""
    if options.quick:
        backbone, data = Path(str(asset_path("roberta"))), embedded_task(place)
        return [Job("restaurants", backbone, data, 2, 2, 8, options.learning_rate, options.threads)]
    rest = (RANKS, options.steps, options.batch_size, options.learning_rate, options.threads)
    return [Job(task, options.backbone.resolve(), options.data.resolve(), *rest) for task in options.tasks.split(",")]


if __name__ == "__main__":
    main()
