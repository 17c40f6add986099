"""How a command ends that is interrupted, or whose reader goes away; nothing is loaded for it."""

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

INTERRUPTED = 130
"""Exit status of a process that Ctrl-C ended, as shells have it."""
TERMINATED = 143
"""Exit status of a process that a termination signal ended before its work had begun."""

READER_GONE = 141
"""Exit status of a command whose reader went away, as of `| head -1`; as shells have it."""


class Terminated(KeyboardInterrupt):
    """A termination signal, which ends what Ctrl-C ends."""


@contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Let Ctrl-C and a termination signal end the process with one line and their status, and no traceback.

    A command whose output nobody reads any more ends with status 141 and no line at all.

    Whoever listens for them inside, as a training run does, comes first. Where somebody outside listens, as a sweep
    does, a termination signal is left to them.
    """
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        with _ending_without_reader():
            yield
    except KeyboardInterrupt as interrupt:
        _end(interrupt)
    except SystemExit as end:
        # Lightning's trainer makes an exit with status 1 of it; ours are said already.
        if end.code == 1 and isinstance(end.__context__, KeyboardInterrupt):
            _end(end.__context__)
        raise
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _ending_without_reader() -> Iterator[None]:
    """Write out what was printed while somebody can still say that nobody reads it."""
    try:
        try:
            yield
        except SystemExit:
            _flush()
            raise
        _flush()
    except BrokenPipeError:
        lost = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
        if not lost:  # another pipe, such as one to a worker
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in lost:
            os.dup2(nowhere, stream.fileno())  # what is left in it would raise once more at the end of the process
        os.close(nowhere)
        sys.exit(READER_GONE)


def _flush() -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _is_unread(stream: TextIO) -> bool:
    """Whether a stream is a pipe or a socket at whose other end is nobody."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no stream, one of memory, a closed one
        return False


def _end(interrupt: KeyboardInterrupt) -> NoReturn:
    print("Interrupted", file=sys.stderr)
    sys.exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
