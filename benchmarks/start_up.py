"""Seconds that a command takes before its work begins, as a process of its own.

    python benchmarks/start_up.py

The help, the printed configuration and the evaluation of the demo, and two mistakes. The best of the repetitions stands
beside the target and beside `import lightning.pytorch` alone, which is the floor of what loads the training libraries.
The demo is trained for two steps before, and `--threads` counts for the commands too. The last line is the ratio of the
printed configuration to that floor.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import timing
import torch

_DEMO = ("fit", "--config", "demo")
_PLAIN = ("--trainer.enable_progress_bar", "false")
COMMANDS: dict[str, tuple[tuple[str, ...], float]] = {
    "--help": (("--help",), 0.4),
    "fit --config demo --print_config": ((*_DEMO, "--print_config"), 4.0),
    "validate": (("validate", *_PLAIN), 6.0),
    "score": (("score",), 1.0),
    "fit --trainer.max_epoch 3": (("fit", "--trainer.max_epoch", "3"), 1.0),
    "import lightning.pytorch": ((), 0.0),
}
"""Arguments and the target in seconds."""
MISTAKES = ("score", "fit --trainer.max_epoch 3")
QUICK = ("--help", "score", "fit --trainer.max_epoch 3", "import lightning.pytorch")


def run(name: str, folder: Path, environment: dict[str, str]) -> None:
    """One process, whose exit status is looked at."""
    arguments = COMMANDS[name][0]
    command = ["-m", "dylora", *arguments] if arguments else ["-c", name]
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    expected = 2 if name in MISTAKES else 0
    if done.returncode != expected:
        sys.exit(f"{name}: exit status {done.returncode} in place of {expected}\n{done.stderr}")


def train_demo(folder: Path, environment: dict[str, str]) -> None:
    """A run of the demo to evaluate; two steps are enough for that."""
    short = ("--trainer.max_steps", "2", "--trainer.limit_val_batches", "1", "--rank_sampling.recipe", "dylora")
    command = [sys.executable, "-m", "dylora", *_DEMO, *_PLAIN, *short]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


def main() -> None:
    """Parse the command line, measure, print."""
    options = timing.parser(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(options.threads)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.quick:
            train_demo(folder, environment)
        names = QUICK if options.quick else tuple(COMMANDS)
        ways = {name: partial(timing.seconds_of, partial(run, name, folder, environment)) for name in names}
        found = timing.in_turns(ways, 1 if options.quick else options.repetitions)
    best = {name: min(seconds) for name, seconds in found.items()}
    for name, seconds in best.items():
        if target := COMMANDS[name][1]:
            print(f"{name}: target {target} s, {'reached' if seconds <= target else 'not reached'}")
    first = "score" if options.quick else "fit --config demo --print_config"
    timing.show(best, "s", (first, "import lightning.pytorch"))


if __name__ == "__main__":
    main()
