"""What `import dylora` offers: every name, loaded when it is used, and all that the documentation shows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dylora

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", dylora.__all__)
def test_every_name_is_defined_where_it_is_looked_for_and_documented(name):
    assert getattr(dylora, name).__doc__


def test_a_name_that_there_is_not():
    with pytest.raises(AttributeError, match="no attribute 'adpat'"):
        _ = dylora.adpat


def test_type_checkers_see_the_same_names():
    tree = ast.parse((ROOT / "dylora" / "__init__.py").read_text())
    seen = {
        (alias.name, node.module)
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        for alias in node.names
    }
    assert seen == set(dylora._HOMES.items())


def test_importing_the_package_loads_no_torch():
    code = "import sys, dylora; assert not {'torch', 'transformers', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_in_the_documentation_are_public():
    text = (ROOT / "docs" / "training.md").read_text()
    lines = re.findall(r"^from dylora import (.+)$", text, re.M)
    assert lines
    assert {name.strip() for line in lines for name in line.split(",")} <= set(dylora.__all__)


def test_no_module_is_named_like_one_of_the_standard_library():
    names = {path.stem for path in (ROOT / "dylora").rglob("*.py")} | {p.name for p in (ROOT / "dylora").rglob("*/")}
    assert not names & sys.stdlib_module_names - {"__main__"}
