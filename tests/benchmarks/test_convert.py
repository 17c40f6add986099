"""The benchmark of conversion in its small form: both ways keep the product."""

import re

import convert
import pytest


@pytest.mark.slow
def test_both_ways_keep_the_product(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["convert.py", "--quick"])
    convert.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["dylora", "peft"]
    assert all(float(re.search(r"error (\S+)$", line)[1]) < 1e-5 for line in lines[1:])
