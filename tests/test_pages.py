"""The commands and the code of each page run, one block after the other, in a folder of their own."""

import subprocess
import time

import pytest
from documented_blocks import BLOCKS, NEEDS
from page_places import Places
from page_runner import Run, blocks_of, check_output, commands_of, pattern_of, run_page

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other packages, which a reader sees as well
PAGES = [page for page, entries in BLOCKS.items() if any(isinstance(what, Run) for _, what in entries)]
TUTORIALS = "docs/tutorials/"  # tests/test_tutorials.py


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    """What pages take for granted, each made once."""
    return Places(tmp_path_factory.mktemp("places"))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith(TUTORIALS)])
def test_the_blocks_of_a_page_run(page, places, tmp_path, monkeypatch):
    for need in NEEDS.get(page, ()):
        places.put(need, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # PYTHONPATH=.
    monkeypatch.setenv("XDG_CACHE_HOME", str(places.root / "cache"))
    run_page(page, BLOCKS[page], {"__name__": "page"})


CHILD = """
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path("saved").touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("ready").touch()
time.sleep(60)
"""


def test_the_job_script_of_the_page_hands_the_signal_on_and_waits_for_the_end(tmp_path):
    (script, *_), (fit, environment) = blocks_of("docs/howto/slurm.md"), ("python -m dylora fit --config rte", "source")
    assert fit in script[1]
    lines = [line for line in script[1].replace(fit, "python child.py").split("\n") if not line.startswith(environment)]
    (tmp_path / "job.sh").write_text("\n".join(lines))
    (tmp_path / "child.py").write_text(CHILD)
    with subprocess.Popen(["bash", "job.sh"], cwd=tmp_path) as job:
        while not (tmp_path / "ready").exists() and job.poll() is None:
            time.sleep(0.05)
        job.terminate()
        assert job.wait() == 130
    assert (tmp_path / "saved").exists()


def test_commands_are_lines_unless_a_quote_or_a_backslash_holds_them_together():
    assert list(commands_of("a 1\n# no\nb \\\n  2\npython -c \"\nx\n\"\nc 'd'")) == [
        "a 1",
        "b   2",
        'python -c "\nx\n"',
        "c 'd'",
    ]


def test_figures_may_differ_and_words_may_not():
    check_output("rank 1  0.50 [0.1, +0.2]\nend", "before\nrank 8    0.75 [0.9, +0.1]\nmore\nend")
    with pytest.raises(AssertionError, match="end"):
        check_output("end\nrank 1", "rank 1\n end of it")
    assert pattern_of("… b") == r".*\s*b"
