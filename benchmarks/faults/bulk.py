"""Damaged inputs by the thousand: what each reader of the package makes of them, as a table.

    python benchmarks/faults/bulk.py --examples 2000

An input is refused in form (one line that names what is wrong, what is allowed and what to do), or loaded and right.
Anything else is a fault: another exception, content taken that is not what the file says, code run.
"""

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.mutations import CANARY, damaged
from faults.readers import Reader, _configurations, readers
from hypothesis import HealthCheck, Phase, given, settings

from dylora.errors import InputError

OUTCOMES = ("refused in form", "loaded right", "traceback", "silently accepted", "executed")
_FORM = re.compile(r"[^\n]+: must be [^\n]+, got [^\n]*; [^\n]+|--?[^\n]+; [^\n]+")


@dataclass
class Tally:
    """What became of one reader's inputs.

    Attributes:
        counts: How many ended in each way.
        faults: The inputs that ended in a way that is a fault, with the way; the first few.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, Any]] = field(default_factory=list)

    def add(self, outcome: str, value: object, told: str = "") -> None:
        """Count one input."""
        self.counts[outcome] += 1
        if outcome not in OUTCOMES[:2] and len(self.faults) < 5:
            self.faults.append((f"{outcome} {told}", value))


def try_in_bulk(reader: Reader, examples: int) -> Tally:
    """Give a reader its inputs, the same ones each time.

    Args:
        reader: The reader.
        examples: How many.
    """
    tally = Tally()
    checks = list(HealthCheck)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=checks,
    )
    @given(reader.inputs)
    def give(value: object) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _give_one(reader, value, Path(folder), tally)

    give()
    return tally


def _give_one(reader: Reader, value: object, folder: Path, tally: Tally) -> None:
    try:
        outcome, told = ("loaded right" if reader.take(value, folder) else "silently accepted"), ""
    except InputError as error:
        told = str(error)
        outcome = "refused in form" if _FORM.fullmatch(told) else "traceback"
    except Exception as error:  # the fault that is looked for
        outcome, told = "traceback", f"{type(error).__name__}: {error}"
    tally.add("executed" if (folder / CANARY).exists() else outcome, value, told[:200])


def whole_commands() -> Reader:
    """`fit --print_config` with damaged configurations, as a user runs it; slower than the readers alone."""
    return Reader("fit --print_config", damaged(_configurations(), most=2), _take_command)


def _take_command(content: bytes, folder: Path) -> bool:
    from dylora.cli import main

    (folder / "c.yaml").write_bytes(content)
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["fit", "--config", "c.yaml", "--print_config"])
        except SystemExit as error:
            status = error.code
    if status in (0, None):
        return bool(out.getvalue())
    lines = err.getvalue().splitlines()
    if status == 2 and len(lines) == 1 and lines[0].startswith("dylora: error: ") and not out.getvalue():
        told = lines[0].removeprefix("dylora: error: ")
        raise InputError("a command", "right", "an error", told) if _FORM.fullmatch(told) else ValueError(told)
    raise ValueError(f"status {status}: {err.getvalue()[-300:]}")


def table(tallies: dict[str, Tally]) -> str:
    """A row a reader."""
    width = max(len(name) for name in tallies)
    lines = [f"{'':{width}}  {'cases':>7}" + "".join(f"{outcome:>19}" for outcome in OUTCOMES)]
    for name, tally in tallies.items():
        cells = "".join(f"{tally.counts[outcome]:>19}" for outcome in OUTCOMES)
        lines.append(f"{name:{width}}  {tally.counts.total():>7}{cells}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and the first faults of each reader; status 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=1000, help="inputs a reader")
    parser.add_argument("--commands", type=int, default=200, help="whole commands; 0 for none")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    tallies = {reader.name: try_in_bulk(reader, options.examples) for reader in readers()}
    if options.commands:
        commands = whole_commands()
        tallies[commands.name] = try_in_bulk(commands, options.commands)
    print(table(tallies))
    for name, tally in tallies.items():
        for told, value in tally.faults:
            print(f"{name}: {told}\n  {value!r:.300}")
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
