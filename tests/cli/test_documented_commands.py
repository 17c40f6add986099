"""The `fit` commands of README and documentation are made of options that `fit` takes."""

import re
import shlex
from pathlib import Path

import pytest

from dylora.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OUTSIDE = (
    "$",
    "my_p",
    "logs/",
    "`",
    "…",
    "...",
    "chat.yaml",
    " &",
)  # what only a shell, a project or a run of the reader has


def commands():
    """Each `fit` command that stands alone in a line, its continued lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        lines = re.findall(r"^ *python -m dylora (fit .*?)(?:&&.*)?$", text, re.MULTILINE)
        found += [line for line in lines if not any(word in line for word in OUTSIDE)]
    return sorted(set(found))


def test_there_are_some():
    assert len(commands()) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_fit_takes_the_options(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as end:
        main([*shlex.split(command, comments=True), "--print_config"])
    assert not end.value.code, capsys.readouterr().err
