"""README and documentation: every block is run by a test or has a reason; the site builds; versions and paths agree."""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import drawings
import error_table
import pytest
import yaml
from documented_blocks import BLOCKS
from page_runner import blocks_of

import dylora

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_page_is_in_the_table():
    assert sorted(BLOCKS) == sorted(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_in_the_table_of_what_runs_it(page):
    blocks = [text for _, text in blocks_of(page)]
    starts = [start for start, _ in BLOCKS[page]]
    assert len(blocks) == len(starts), "a block without a test or a reason: tests/documented_blocks.py"
    assert [b.split("\n")[0] for b, start in zip(blocks, starts, strict=True) if not b.startswith(start)] == []


def test_the_tests_of_the_table_are_there_and_the_rest_has_a_reason():
    for page, blocks in BLOCKS.items():
        for start, what in blocks:
            if not isinstance(what, str):  # tests/test_pages.py runs it
                continue
            kind, _, rest = what.partition(": ")
            assert kind in ("same", "not run"), (page, start)
            assert rest, (page, start)
            if kind != "not run" and rest != ".ci/run":
                file, _, name = rest.partition("::")
                assert f"def {name}(" in text_of(f"tests/{file}"), (page, start, rest)


def test_every_page_is_in_the_navigation():
    navigation = re.findall(r"([\w/]+\.md)", str(yaml.safe_load(text_of("mkdocs.yml"))["nav"]))
    assert sorted(navigation) == sorted(page.removeprefix("docs/") for page in PAGES if page.startswith("docs/"))


def test_the_reference_has_every_public_name():
    assert sorted(re.findall(r"^::: dylora\.(\w+)$", text_of("docs/reference.md"), re.MULTILINE)) == dylora.__all__


def test_one_version():
    assert tomllib.loads(text_of("pyproject.toml"))["project"]["dynamic"] == ["version"]
    newest, day = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", text_of("CHANGELOG.md"), re.MULTILINE)[0]
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert newest == citation["version"] == dylora.__version__
    assert str(citation["date-released"]) == day


def test_the_files_that_contributing_names_are_there():
    cells = [line.split("|")[1] for line in text_of("CONTRIBUTING.md").splitlines() if line.startswith("| `")]
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell) if "NAME" not in name]
    assert len(names) > 20
    assert [name for name in names if not list(ROOT.glob(name))] == []


def test_the_workflow_calls_the_same_script_as_everybody():
    steps = yaml.safe_load(text_of(".github/workflows/ci.yaml"))["jobs"]["everything"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]


def test_the_drawings_are_those_of_their_script_and_of_the_results():
    made = {path.stem for path in (ROOT / "docs/images").glob("*.svg")} - {"terminal"}  # of a real run
    assert made == set(drawings.DRAWINGS)
    for name, draw in drawings.DRAWINGS.items():
        assert text_of(f"docs/images/{name}.svg") == draw(), "python docs/drawings.py"
    assert drawings.results_of("STS-B")["LoRA, its first rows"] == [31.3, 46.1, 69.8, 84.0]


def test_the_table_of_errors_has_every_place_that_raises_one():
    found = error_table.errors()
    written = [
        len(re.findall(r"\bInputError\((?!ValueError)", re.sub(r">>> .*", "", path.read_text(encoding="utf-8"))))
        for path in (ROOT / "dylora").rglob("*.py")
    ]
    assert len(found) == sum(written)
    texts = [(error.argument, error.allowed, error.fix) for error in found]
    assert ("model.tolerance", "from 0 to 1", "0.01 allows 1 % relative") in texts
    assert ("--output", "a new folder", "choose another name") in texts  # behind names of variables, too
    assert sum("…" in (allowed, fix) for _, allowed, fix in texts) < len(texts) / 20


def test_the_errors_of_the_page_about_trouble_are_those_of_the_code():
    known = {f"{error.argument.removeprefix('--')}: must be {error.allowed}" for error in error_table.errors()}
    shown = re.findall(r"^\| `(?:--)?([^`]+: must be [^`]+)`", text_of("docs/troubleshooting.md"), re.MULTILINE)
    assert len(shown) >= 5
    assert [line for line in shown if not any(_fits(line, each) for each in known)] == []


def _fits(line, text):
    """Whether a line can be what an error says; `…` in either stands for anything."""
    starts = [each.split("…")[0].strip() for each in (line, text)]
    return starts[0].startswith(starts[1]) or starts[1].startswith(starts[0])


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("material") and find_spec("mkdocstrings") and find_spec("jupytext")),
    reason='pip install "dylora[docs]"',
)
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: " in (tmp_path / "site/cli/index.html").read_text(encoding="utf-8")
    assert 'id="dylora.adapt' in (tmp_path / "site/reference/index.html").read_text(encoding="utf-8")
