"""The benchmark of rows at ranks of their own in its small form: the same logits as PEFT's adapters."""

import re

import mixed_ranks
import pytest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PEFT's
def test_rows_at_their_own_ranks_are_pefts_adapters(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mixed_ranks.py", "--quick"])
    mixed_ranks.main()
    out = capsys.readouterr().out
    difference, apart = map(float, re.search(r"logits: (\S+) \(to those at rank 1: (\S+)\)", out).groups())
    assert difference < 1e-4 < apart
    counts = re.search(r"adapter parameters: (\S+), of PEFT (\S+)", out).groups()
    nested, one_a_rank = (int(count.replace(",", "")) for count in counts)
    assert one_a_rank == sum(range(1, 9)) / 8 * nested
