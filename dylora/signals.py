"""How a command ends that is interrupted before its work has begun; nothing is loaded for it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""Exit status of a process that Ctrl-C ended, as shells have it."""
TERMINATED = 143
"""Exit status of a process that a termination signal ended before its work had begun."""


class Terminated(KeyboardInterrupt):
    """A termination signal, which ends what Ctrl-C ends."""


@contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Let Ctrl-C and a termination signal end the process with one line and their status, and no traceback.

    Whoever listens for them inside, as a training run does, comes first. Where somebody outside listens, as a sweep
    does, a termination signal is left to them.
    """
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
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


def _end(interrupt: KeyboardInterrupt) -> NoReturn:
    print("Interrupted", file=sys.stderr)
    sys.exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
