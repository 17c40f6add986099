"""A command ends quietly when nobody reads what it prints any more, as in `dylora budget --help | head -1`."""

import os
import subprocess
import sys

import pytest

from dylora.signals import READER_GONE, ending_in_one_line


@pytest.mark.parametrize("arguments", [["--help"], ["budget", "--help"], ["choose", "--help"]], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_a_command_without_a_word(arguments, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dylora", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    # With no buffer argparse itself passes over the error, and nothing is left to fail.
    assert done.returncode in ((READER_GONE,) if not unbuffered else (READER_GONE, 0))


def test_a_broken_pipe_to_somebody_else_is_an_error():
    with pytest.raises(BrokenPipeError), ending_in_one_line():
        raise BrokenPipeError
