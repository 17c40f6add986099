"""The benchmark of a LoRA that PEFT trained, in its small form: five ways, equal at the full rank."""

import convert_real
import pytest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PEFT's
def test_all_ways_agree_at_the_full_rank(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["convert_real.py", "--quick"])
    convert_real.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    cells = {name: values for line in lines[2:] for name, *values in [[cell.strip() for cell in line.split("|")[1:-1]]]}
    assert set(cells) == {
        "PEFT's LoRA, first components",
        "convert, svd",
        "convert, two-sided",
        "convert, learned",
        "peft.convert_to_lora",
    }
    assert len({values[1] for values in cells.values()}) == 1
