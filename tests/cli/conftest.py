"""Whole commands, run in this process on a tiny backbone."""

import os

import pytest
import tiny

from dylora.cli import main


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return tiny.save_backbone(tmp_path_factory.mktemp("cli") / "backbone")


@pytest.fixture(scope="session")
def trained(backbone, tmp_path_factory):
    """The root of a finished run, `logs/restaurants/version_0`; tests must not write into it."""
    root = tmp_path_factory.mktemp("trained")
    main(["fit", *tiny.options(backbone, root)])
    return root


@pytest.fixture
def refused(capsys):
    """Run a command that must end with status 2 and one line on stderr, after notes on the way; gives the line."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(map(str, arguments)))
        assert caught.value.code == 2
        out, err = capsys.readouterr()
        assert out == "" or out.startswith(("Run ", "Folder "))  # nothing, unless its work has begun
        lines = [line for line in err.splitlines() if line and not line.startswith("INFO: ") and ": cut " not in line]
        assert len(lines) == 1, lines
        assert lines[0].startswith("dylora: error: ")
        return lines[0]

    return run


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """No test leaves a run in the repository."""
    monkeypatch.chdir(tmp_path)
    yield
    os.environ.pop("DYLORA_RUN_FOLDER", None)
