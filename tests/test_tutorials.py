"""Every tutorial runs as it stands: commands, code, and what is shown of their output."""

import re
from pathlib import Path

import pytest
from documented_blocks import BLOCKS, NEEDS, NOTEBOOKS
from page_places import Places
from page_runner import ROOT, check_output, run_page

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other packages, which a reader sees as well
TUTORIALS = [page for page, entries in BLOCKS.items() if page.startswith("docs/tutorials/") and entries]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What pages take for granted, each made once."""
    return Places(tmp_path_factory.mktemp("places"))


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_runs_and_prints_what_it_shows(page, places, tmp_path, monkeypatch):
    for need in NEEDS.get(page, ()):
        places.put(need, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(places.root / "cache"))
    run_page(page, BLOCKS[page], {"__name__": "page"})


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(notebook, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, text = {"__name__": "__main__"}, (ROOT / notebook).read_text(encoding="utf-8")
    exec(compile(text, notebook, "exec"), names)
    (shown,) = re.findall(r"# ```text\n(.*?)# ```", text, re.DOTALL)
    check_output(re.sub(r"^# ", "", shown, flags=re.MULTILINE), capsys.readouterr().out)
    assert names["first_rows"][1] < names["by_svd"][1]  # as its text says
    assert Path("rank_2/adapter_config.json").is_file()


def test_every_notebook_is_run():
    assert sorted(NOTEBOOKS) == sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/tutorials").glob("*.py"))
