"""Tables 5 and 7 with times that are known."""

import pytest

from dylora.report.cost_tables import loss_table, search_table
from dylora.report.curves import build_curves
from dylora.report.results import read_results


@pytest.fixture
def curves(tmp_path):
    return lambda: build_curves(read_results([tmp_path], None, "last")[0])[0]


def test_a_search_costs_the_time_of_all_its_ranks(save_run, curves):
    for rank, value in ((1, 0.87), (32, 0.89), (64, 0.90)):
        save_run("lora_search", "mrpc", 10, {"accuracy": {rank: value}}, rank=rank, seconds=100.0)
    save_run("dylora_frozen_64", "mrpc", 10, {"accuracy": {1: 0.88, 34: 0.91, 64: 0.9}}, seconds=120.0)
    save_run("dylora_frozen_64", "mrpc", 42, {"accuracy": {1: 0.89, 34: 0.87, 64: 0.88}}, seconds=80.0)
    table = search_table(curves())
    assert table.heads == ["r_max", "System", "mrpc accuracy", "Seconds", "Cost"]
    assert table.rows == [
        ["64", "lora_search", "90.00 at rank 64 (1) [89.71 at rank 64, +0.29]", "300.00", "3.00 [7, -4.00]"],
        [
            "64",
            "dylora_frozen_64",
            "90.00 ± 1.41 at ranks 1, 34 (2) [89.95 at rank 34, +0.05]",
            "100.00",
            "1.00 [1, +0.00]",
        ],
        ["32", "lora_search", "89.00 at rank 32 (1) [88.73 at rank 16, +0.27]", "200.00", "— [6]"],
        ["32", "DyLoRA (Frozen)", "— [89.71 at rank 5]", "—", "— [1]"],
    ]
    assert "Best ranks are chosen on the validation figures that are shown, so these are optimistic" in table.notes
    assert "No runs on sst2: the paper's figures are left out" in table.notes
    assert "No figure for DyLoRA (Frozen) (r_max 32): mrpc accuracy" in table.notes


def test_the_summation_loss_is_compared_in_score_and_time(save_run, curves):
    save_run("dylora", "cola", 10, {"matthews": {1: 0.5, 8: 0.54}}, seconds=600.0)
    save_run("dylora_summation", "cola", 10, {"matthews": {1: 0.52, 8: 0.56}}, seconds=1500.0)
    save_run("dylora_summation", "cola", 42, {"matthews": {1: 0.54, 8: 0.56}}, seconds=1300.0)
    table = loss_table(curves())
    assert table.heads == ["System", "cola matthews, mean over ranks", "cola seconds", "cola time"]
    assert table.rows == [
        ["DyLoRA", "52.00 (1) [52.64, -0.64]", "600.00 (1) [645.82, -45.82]", "1.00 [1.00, +0.00]"],
        [
            "dylora_summation",
            "54.50 ± 0.71 (2) [54.12, +0.38]",
            "1400.00 ± 141.42 (2) [1175.69, +224.31]",
            "2.33 [1.82, +0.51]",
        ],
    ]
