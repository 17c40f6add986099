"""Commands in this process and in their own."""

import logging
import sys

import pytest

from dylora.sweep.start import InProcess, OwnProcess


def _main(arguments):
    print("out", arguments[0])
    print("err", file=sys.stderr)
    endings = {"exit": SystemExit(2), "interrupt": KeyboardInterrupt(), "bug": ValueError("a bug"), "ok": None}
    if ending := endings[arguments[0]]:
        raise ending


@pytest.mark.parametrize(("word", "status"), [("ok", 0), ("exit", 2), ("interrupt", 130), ("bug", 1)])
def test_a_command_in_this_process(tmp_path, capsys, word, status):
    assert InProcess(_main)([word], tmp_path / "output.txt") == status
    text = (tmp_path / "output.txt").read_text()
    assert text.startswith(f"out {word}\nerr\n")
    assert ("ValueError: a bug" in text) == (word == "bug")
    assert capsys.readouterr() == ("", "")


def test_what_is_logged_goes_with_it(tmp_path, capsys):
    logger = logging.getLogger("test_start")
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    stream = handler.stream
    InProcess(lambda arguments: logger.warning("a word"))([], tmp_path / "output.txt")
    logger.removeHandler(handler)
    assert (tmp_path / "output.txt").read_text() == "a word\n"
    assert handler.stream is stream
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_command_in_a_process_of_its_own(tmp_path):
    start = OwnProcess({"OMP_NUM_THREADS": "1"})
    assert start(["sweep", "nowhere.yaml"], tmp_path / "output.txt") == 2
    words = "dylora: error: FILE: must be a file or a name that comes with dylora"
    assert words in (tmp_path / "output.txt").read_text()
    start.interrupt()
    assert start(["sweep", "nowhere.yaml"], tmp_path / "output.txt") == 130
