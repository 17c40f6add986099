"""The benchmark of conversion in its small form: both ways keep the product."""

import re

import convert
import pytest


@pytest.mark.slow
def test_both_ways_keep_the_product(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["convert.py", "--quick"])
    convert.main()
    lines = capsys.readouterr().out.splitlines()
    errors = dict(re.findall(r"^(\w+) .*relative error (\S+)$", "\n".join(lines), re.MULTILINE))
    assert list(errors) == ["dylora", "peft"]
    assert all(float(error) < 1e-5 for error in errors.values())
    assert re.fullmatch(r"ratio: \d+\.\d+", lines[-1])
