"""Runs the blocks of a page one after the other, as a reader types them, in the folder that is the current one."""

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dylora.cli import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:PYTHONPATH=\. )?(?:python -m )?dylora ")
NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True)
class Run:
    """A block that is run, with what is changed in it first.

    Args:
        changes: Texts of the block, such as names of folders that only the reader has, and what stands there instead.
        added: Options that each `fit` of the block gets in addition, such as fewer steps.
        before: Python that is run first: what the page says that the reader has.
        left_out: Starts of commands that are not run (with a `$` behind it a whole command), and why.
    """

    changes: Mapping[str, str] = field(default_factory=dict)
    added: str = ""
    before: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{old!r} as {new!r}" for old, new in self.changes.items()]
        parts += [f"with {self.added}"] if self.added else []
        parts += [f"after {self.before!r}"] if self.before else []
        parts += [f"without {start!r}: {reason}" for start, reason in self.left_out.items()]
        return ", ".join(["run", *parts]) if parts else "run as written"


@dataclass(frozen=True)
class Saved:
    """A block that the page says to save as a file."""

    name: str

    def __str__(self) -> str:
        return f"saved as {self.name}"


@dataclass(frozen=True)
class Output:
    """A block that shows what the block before printed; figures may differ, and `…` stands for anything.

    Args:
        width: How much of each line is compared; what stands behind it hangs on the figures.
    """

    width: int | None = None

    def __str__(self) -> str:
        return "compared with what the block before printed"


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Language and text of each block of a page, indented blocks moved to the left."""
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [(kind, re.sub(rf"^{indent}", "", body, flags=re.MULTILINE).strip()) for indent, kind, body in found]


def run_page(page: str, entries: list[tuple[str, Any]], names: dict[str, Any]) -> None:
    """Run, save or compare each block of a page as its entry says; the rest is passed over.

    Args:
        page: Path below the repository root.
        entries: Of each block its start and what is done with it.
        names: What Python blocks find, and add to.
    """
    printed = ""
    for (kind, text), (_, what) in zip(blocks_of(page), entries, strict=True):
        if isinstance(what, Saved):
            Path(what.name).write_text(text + "\n", encoding="utf-8")
            if what.name.endswith(".sh"):
                run_bash(f"bash -n {what.name}")
        elif isinstance(what, Output):
            check_output("\n".join(line[: what.width] for line in text.split("\n")), printed)
        elif isinstance(what, Run):
            printed = run_python(changed(text, what), page, names, what) if kind == "python" else run_shell(text, what)


def changed(text: str, what: Run) -> str:
    """A text with the changes of an entry, each of which has to be in it."""
    for old, new in what.changes.items():
        assert old in text, f"no {old!r} in the block any more"
        text = text.replace(old, new)
    return text


def check_output(shown: str, printed: str) -> None:
    """Find the lines of a block in what was printed, in their order."""
    place = 0
    for line in filter(None, map(str.strip, shown.split("\n"))):
        found = re.compile(pattern_of(line)).search(printed, place)
        assert found, f"not printed, or not in this order: {line}\n--- printed ---\n{printed}"
        place = found.end()


def pattern_of(line: str) -> str:
    """A regular expression: any figure for a figure, any space for a space, anything for `…`.

    >>> re.fullmatch(pattern_of("rank 1  +0.25 …"), "rank 8 -1.5 and more") is not None
    True
    """
    parts = []
    for word in line.split():
        escaped = "".join(r"[\d.,]+" if i % 2 else re.escape(part) for i, part in enumerate(_split(word)))
        parts.append(re.sub(r"^((?:\\\[)?)(?:\\-|\\\+)?(?=\[\\d)", r"\1[+-]?", escaped).replace("…", ".*"))
    return r"\s*".join(parts)


def _split(word: str) -> list[str]:
    return re.split(f"({NUMBER.pattern})", word)


def run_python(text: str, page: str, names: dict[str, Any], what: Run) -> str:
    """Run a block of Python; returns what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(what.before, names)
        exec(compile(text, page, "exec"), names)
    return printed.getvalue()


def run_shell(text: str, what: Run) -> str:
    """Run the commands of a block, those of dylora in this process; returns what they printed."""
    for start in what.left_out:
        assert start.rstrip("$") in text, f"no {start!r} in the block any more"
    commands = [each for each in commands_of(text) if not f"{each}$".startswith(tuple(what.left_out))]
    commands = changed("\0".join(commands), what).split("\0")
    return "".join(run_dylora(each, what.added) if COMMAND.match(each) else run_bash(each) for each in commands)


def commands_of(text: str) -> Iterator[str]:
    """The commands of a block: a line each, or several that a quote or a backslash holds together."""
    held = ""
    for line in text.split("\n"):
        held += line if held else re.sub(r"(^|\s)#.*", "", line)  # a comment may have an apostrophe
        if held.endswith("\\"):
            held = held[:-1]
        elif held.count('"') % 2 or held.count("'") % 2:
            held += "\n"
        else:
            if held.strip():
                yield held.strip()
            held = ""
    assert not held, f"a command without an end: {held}"


def run_dylora(command: str, added: str) -> str:
    """Run `python -m dylora …`, or several with `&&` between them, in this process."""
    printed = io.StringIO()
    for each in command.split(" && "):
        assert COMMAND.match(each), f"not one of dylora: {each}"
        arguments = shlex.split(COMMAND.sub("", each), comments=True)
        arguments += shlex.split(added) if arguments[0] == "fit" else []
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status = _status(arguments)
        assert not status, f"{each}\n{printed.getvalue()}"
    return printed.getvalue()


def _status(arguments: list[str]) -> int | str | None:
    try:
        main(arguments)
    except SystemExit as end:
        return end.code
    return None


def run_bash(command: str) -> str:
    """Run any other command; `import dylora` finds this working copy."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
