"""The list of the benchmarks, and the form that those of speed have in common."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"


def section(title):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def listed(text):
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return sorted(name for cell in cells for name in re.findall(r"`([^`]+)`", cell))


def test_every_file_is_in_the_list():
    there = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py"))
    assert listed((FOLDER / "README.md").read_text(encoding="utf-8")) == there


def test_those_of_speed_share_the_form():
    form = "timing.show"
    scripts = [path for path in FOLDER.glob("*.py") if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")]
    shared = sorted(path.name for path in scripts if form in path.read_text(encoding="utf-8"))
    assert shared == listed(section("Speed"))


def test_ci_runs_the_small_form_of_each():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = re.findall(r"for script in \$\((grep .*)\); do", script)[0]
    found = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(Path(line).name for line in found.stdout.split()) == listed(section("Speed"))


def test_each_has_its_command_on_the_page_of_figures():
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert [name for name in listed(section("Speed")) if f"benchmarks/{name}" not in page] == []
