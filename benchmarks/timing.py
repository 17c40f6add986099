"""What the benchmarks of speed share: ways of doing the same in turns, their medians, one table, one ratio."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch

Found = TypeVar("Found")


def parser(description: str | None, repetitions: int = 5) -> argparse.ArgumentParser:
    """The options that they all have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    text = f"runs of each way (default: {repetitions})"
    made.add_argument("--repetitions", type=int, default=repetitions, help=text)
    made.add_argument("--quick", action="store_true", help="a small case, once: to see that it works")
    made.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    return made


def medians(
    ways: Mapping[str, Callable[[], object]], repetitions: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Median seconds of each way, in turns, so that a busy machine slows all of them.

    Args:
        ways: What to run, under its name. Each runs once before, for what happens once.
        repetitions: Number of turns.
        clock: `time.process_time` counts the processor time of this process; `time.perf_counter` is for what
            happens elsewhere, on a GPU or in child processes.
    """
    for run in ways.values():
        run()
    seconds = in_turns({name: partial(seconds_of, run, clock) for name, run in ways.items()}, repetitions)
    return {name: statistics.median(values) for name, values in seconds.items()}


def in_turns(ways: Mapping[str, Callable[[], Found]], repetitions: int) -> dict[str, list[Found]]:
    """What each way returns, in turns; for ways that measure themselves."""
    found: dict[str, list[Found]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, run in ways.items():
            found[name].append(run())
    return found


def seconds_of(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of a call."""
    begin = clock()
    run()
    return clock() - begin


def show(figures: Mapping[str, float], unit: str, ratio: tuple[str, str]) -> None:
    """Print a table of figures and, as the last line, the ratio of two of them."""
    print(f"{machine()}")
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value:10.4f} {unit}")
    show_ratio(figures[ratio[0]] / figures[ratio[1]])


def show_ratio(ratio: float) -> None:
    """Print the last line of a benchmark."""
    print(f"ratio: {ratio:.4f}")


def machine() -> str:
    """The processor, the threads and the version of torch."""
    return f"{platform.machine()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}"
