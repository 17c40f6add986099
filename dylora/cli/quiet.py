"""What libraries say on stderr that is of no use to a user of the command line."""

import logging
import sys
import warnings
from pathlib import Path
from typing import TextIO

import dylora
from dylora.terminal import above_bars, is_terminal

_PACKAGE = Path(dylora.__file__).parent

_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "transformers", "datasets", "huggingface_hub")

_NOT_FOR_USERS = (
    r".*does not have many workers which may be a bottleneck.*",
    r".*It is recommended to use `self.log\(.*sync_dist=True\)`.*",  # metrics are the same in every process already
    r".*The number of training batches .* is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be provided.*",
    r".*isinstance\(treespec, LeafSpec\).*",  # torch's word to Lightning
    r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`.*",  # the loss scaler skipped the first step
    r".*The `srun` command is available on your system but is not used.*",
)


def quiet() -> None:
    """Drop hints and warnings that do not concern this project's users; show the others on the stderr of now."""
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            if name.startswith("lightning"):
                handler.addFilter(_is_worth_showing)
            if type(handler) is logging.StreamHandler:
                # It has the stream of the moment in which the library was loaded, which may be closed by now (another
                # command in this process, a notebook, a test); setStream would flush that one.
                handler.stream = _AboveBars(sys.stderr) if is_terminal(sys.stderr) else sys.stderr
    for message in _NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message)


class _AboveBars:
    """A terminal's stream that takes the bars away while something else is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write above the bars."""
        with above_bars():
            self._stream.write(text)

    def flush(self) -> None:
        """Pass it on."""
        self._stream.flush()


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Warnings, and this package's own notes; not what Lightning says about devices, versions and products."""
    return record.levelno > logging.INFO or Path(record.pathname).is_relative_to(_PACKAGE)
