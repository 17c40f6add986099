"""Kill training runs at random moments, resume them, and compare the final weights with those of an uninterrupted run.

    python benchmarks/faults/kill.py [--kinds sentences,text] [--kills 20] [--other /dev/shm] [--seed 0]
    python benchmarks/faults/kill.py --kinds text --kills 4    # a short form: one of them at the writing

Half of the kills are SIGKILL, of which five of twenty hit the writing of a checkpoint: half of its bytes written, all
of them before the name, and just after it. The others are Ctrl-C and SIGTERM. Every second run has its folder on the
file system of `--other`, with the temporary folder elsewhere. Each is resumed as its last words say, or begun again
where no checkpoint was left, to its end. It counts where the final weights and the optimizer's moments are equal bit
for bit and every checkpoint that was left can be read. Runs are processes of their own, forked from this one, which has
loaded the libraries.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import torch

import dylora.cli.lightning_cli  # noqa: F401 (loaded once for all runs)
from dylora.cli import main as command
from dylora.errors import InputError
from dylora.runs.checkpoints import read_checkpoint
from dylora.signals import ending_in_one_line

POINTS = ("half", "written", "named")
KINDS = {
    "sentences": ["--config=configs/demo.yaml", "--data.max_length=48"],
    "text": ["--config=configs/nlg/demo.yaml", "--data.generate_examples=2"],
}
COMMON = [
    *("--model.adapter.max_rank=4", "--data.train_batch_size=8", "--data.eval_batch_size=8"),
    *("--trainer.max_epochs=3", "--trainer.limit_train_batches=6", "--trainer.limit_val_batches=1"),
    *("--trainer.enable_progress_bar=false", "--trainer.logger=false"),
]
EPOCHS = 3


@dataclass(frozen=True)
class Kill:
    """One interruption.

    Attributes:
        number: The signal.
        after: Seconds from the start of the process; None where it hits the writing of a checkpoint.
        point: Where in the writing, of `POINTS`.
        write: At which checkpoint that is written, from 1.
        is_elsewhere: Whether the run's folder lies on another file system than the temporary folder.
    """

    number: signal.Signals
    after: float | None
    point: str
    write: int
    is_elsewhere: bool

    def __str__(self) -> str:
        when = f"after {self.after:.1f} s" if self.after is not None else f"checkpoint {self.write}, {self.point}"
        return f"{self.number.name} {when}, {'two file systems' if self.is_elsewhere else 'one file system'}"


def main() -> None:
    """Carry out the kills, and print a line each and the count."""
    options = parsed()
    torch.set_num_threads(1)
    lost = 0
    with tempfile.TemporaryDirectory(prefix="kill-") as here, tempfile.TemporaryDirectory(dir=options.other) as there:
        for kind in options.kinds.split(","):
            failed, start = 0, time.monotonic()
            expected = final_state(fitted(kind, Path(here) / f"{kind}-whole"))
            seconds = time.monotonic() - start
            print(f"{kind}: uninterrupted in {seconds:.0f} s", flush=True)
            kills = planned(options.kills, seconds, random.Random(options.seed))
            for number, kill in enumerate(kills):
                root = Path(there if kill.is_elsewhere else here) / f"{kind}-{number}"
                begin = time.monotonic()
                words = survived(kind, root, kill, expected) + f"; {time.monotonic() - begin:.0f} s"
                failed += words.startswith("LOST")
                print(f"{kind} {number + 1:>2} {kill}: {words}", flush=True)
                shutil.rmtree(root, ignore_errors=True)
            print(f"{kind}: {len(kills) - failed} of {len(kills)} equal", flush=True)
            lost += failed
    sys.exit(lost > 0)


def planned(count: int, seconds: float, chance: random.Random) -> list[Kill]:
    """Half SIGKILL, a quarter of all at the writing of a checkpoint, every second one on two file systems."""
    kills = []
    for number in range(count):
        is_aimed, is_hard = number < count // 4, number < count // 2
        kinds = [signal.SIGKILL] if is_hard else [signal.SIGINT, signal.SIGTERM]
        after = None if is_aimed else chance.uniform(0.3, seconds)
        # Written are the last one of each epoch, and the best one once or more.
        point, write = POINTS[number % len(POINTS)], chance.randint(1, EPOCHS + 1)
        kills.append(Kill(chance.choice(kinds), after, point, write, number % 2 == 1))
    return kills


def survived(kind: str, root: Path, kill: Kill, expected: dict[str, torch.Tensor]) -> str:
    """Interrupt a run, let it end, and say how it compares."""
    status = killed(kind, root, kill)
    if kill.after is None and status != -signal.SIGKILL:
        last = Path(f"{root}.txt").read_text(encoding="utf-8").rstrip().rpartition("\n")[2]
        return f"LOST: the trap at the writing of checkpoint {kill.write} was not reached (status {status}): {last}"
    for path in root.rglob("*.ckpt"):
        try:
            read_checkpoint(path)
        except InputError as error:
            return f"LOST: {error}"
    left = newest(root)
    words = f"status {status}, resumed from step {read_checkpoint(left)['global_step'] if left else 'none'}"
    found = final_state(fitted(kind, root))
    unequal = [name for name, tensor in expected.items() if name not in found or not torch.equal(found[name], tensor)]
    return f"LOST: {len(unequal)} tensors differ, {unequal[0]} first ({words})" if unequal else f"equal ({words})"


def killed(kind: str, root: Path, kill: Kill) -> int:
    """Begin a run and interrupt it; gives its status. Where it has ended before, it is begun anew for half the time."""
    child, after = begun(fit(kind, root), kill), kill.after
    while after is not None:
        time.sleep(after)
        if os.waitpid(child, os.WNOHANG)[0] == 0:
            os.kill(child, kill.number)
            break
        shutil.rmtree(root)
        child, after = begun(fit(kind, root), kill), after / 2
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fitted(kind: str, root: Path) -> Path:
    """Train, or go on, to the end; gives the last checkpoint."""
    left = newest(root)
    resume = [f"--ckpt_path={left}"] if left else []
    status = os.waitstatus_to_exitcode(os.waitpid(begun([*fit(kind, root), *resume]), 0)[1])
    if status or (last := newest(root)) is None:
        raise RuntimeError(f"fit ended with status {status}; see {root}.txt")
    return last


def fit(kind: str, root: Path) -> list[str]:
    """The arguments of a run below a folder."""
    return ["fit", *KINDS[kind], *COMMON, f"--trainer.default_root_dir={root}"]


def newest(root: Path) -> Path | None:
    """The last checkpoint of the newest run that has one."""
    found = list(root.glob("*/version_*/checkpoints/last.ckpt"))
    return max(found, key=lambda path: int(path.parents[1].name.removeprefix("version_")), default=None)


def final_state(path: Path) -> dict[str, torch.Tensor]:
    """Weights and moments of a checkpoint, by name."""
    content = read_checkpoint(path)
    found: dict[str, torch.Tensor] = dict(content["state_dict"])
    for number, state in content["optimizer_states"][0]["state"].items():
        found |= {f"{number}/{name}": value for name, value in state.items() if isinstance(value, torch.Tensor)}
    return found


def begun(arguments: list[str], kill: Kill | None = None) -> int:
    """Start a command in a process of its own; gives its number. What it prints goes to `<root>.txt`."""
    child = os.fork()
    if child:
        return child
    root = next(each for each in arguments if each.startswith("--trainer.default_root_dir=")).partition("=")[2]
    with open(f"{root}.txt", "a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if kill is not None and kill.after is None:
        lay_trap(kill.point, kill.write)
    status: object = 0
    try:
        with ending_in_one_line():
            command(arguments)
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
        status = 1
    os._exit(status if isinstance(status, int) else 1)


def lay_trap(point: str, number: int) -> None:
    """Have this process kill itself at a point in the writing of its n-th checkpoint."""
    fsync, replace, count = os.fsync, os.replace, 0

    def dying_fsync(file: int) -> None:
        nonlocal count
        is_checkpoint = ".ckpt." in os.readlink(f"/proc/self/fd/{file}")
        count += is_checkpoint
        if is_checkpoint and count == number and point != "named":
            if point == "half":
                os.ftruncate(file, os.fstat(file).st_size // 2)
            fsync(file)
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(file)

    def dying_replace(old: str, new: str) -> None:
        replace(old, new)
        if str(new).endswith(".ckpt") and count == number and point == "named":
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync, os.replace = dying_fsync, dying_replace  # type: ignore[assignment]


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--other", default="/dev/shm", help="A folder on another file system than the temporary folder."
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
