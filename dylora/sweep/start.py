"""How a command is carried out: in this process, or in one of its own."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from dylora.signals import INTERRUPTED, TERMINATED


class InProcess:
    """Carry out commands in this process.

    Args:
        main: The command line's main function, called with the arguments.
    """

    def __init__(self, main: Callable[[Sequence[str]], None]) -> None:
        self.main = main

    def __call__(self, arguments: list[str], output: Path) -> int:
        """Run one command; an exception is written to the output and is status 1."""
        with (
            output.open("a", encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
            _redirect_logs(file),
        ):
            return self._status(arguments)

    def _status(self, arguments: list[str]) -> int:
        try:
            self.main(arguments)
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        except KeyboardInterrupt:
            return INTERRUPTED
        except Exception:  # a run that fails must not end the others
            traceback.print_exc()
            return 1
        return 0


@contextlib.contextmanager
def _redirect_logs(file: TextIO) -> Iterator[None]:
    """Send what is logged to a file, too: handlers keep the stream that they were made with."""
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    handlers = [handler for logger in [logging.root, *loggers] for handler in logger.handlers]
    shown = [handler for handler in handlers if type(handler) is logging.StreamHandler]
    before = [handler.stream for handler in shown]
    try:
        for handler in shown:
            handler.stream = file  # not setStream, which flushes the stream before: it may be closed
        yield
    finally:
        for handler, stream in zip(shown, before, strict=True):
            handler.stream = stream


class OwnProcess:
    """Carry out commands in a process of their own.

    Args:
        environment: Variables to set on top of this process's.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.is_interrupted = False

    def __call__(self, arguments: list[str], output: Path) -> int:
        """Run one command."""
        if self.is_interrupted:
            return INTERRUPTED
        with output.open("ab") as file:
            # A session of its own: Ctrl-C reaches it once, through `interrupt`; a second one would stop it hard.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dylora", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
            status = self._process.wait()
        stopped = status in (-signal.SIGINT, -signal.SIGTERM, TERMINATED)
        return INTERRUPTED if stopped else 128 - status if status < 0 else status

    def interrupt(self) -> None:
        """Ask the command to save and stop, and start no other."""
        self.is_interrupted = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
