"""The benchmarks of speed in their small forms: each ends with its ratio."""

import importlib
import re

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data", "optimizer"])
def test_each_ends_with_its_ratio(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--quick"])
    importlib.import_module(name).main()
    assert re.fullmatch(r"ratio: \d+\.\d+", capsys.readouterr().out.splitlines()[-1])
