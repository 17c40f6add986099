"""What libraries log goes to the stderr that a command has."""

import io
import logging
import sys

import lightning.pytorch  # noqa: F401 (its handlers)
import pytest

from dylora.cli import main


@pytest.mark.parametrize("name", ["lightning.pytorch", "transformers"])
def test_a_handler_that_was_made_with_a_stream_closed_by_now_writes_to_stderr(name, monkeypatch):
    closed = io.StringIO()
    closed.close()
    handler = logging.StreamHandler(closed)
    logger = logging.getLogger(name)
    monkeypatch.setattr(logger, "handlers", [handler])
    main(["--help"])
    assert handler.stream is sys.stderr
