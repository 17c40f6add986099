"""Free tables."""

import pytest

from dylora.errors import InputError
from dylora.report.curves import build_curves
from dylora.report.pivot import pivot
from dylora.report.results import read_results


@pytest.fixture
def curves(known_runs):
    return build_curves(read_results([known_runs], None, "last")[0])[0]


def test_figures_that_share_a_cell_are_averaged_within_each_seed_first(curves):
    table = pivot(curves, "system,task")
    assert table.heads == ["System", "mrpc", "stsb"]
    # seeds 91, 91.5 and, without rank 8, 90.5
    assert table.rows[0] == ["DyLoRA", "91.00 ± 0.50 (3)", "90.17 (1)"]
    assert table.notes == ["Metric: f1 (mrpc), pearson (stsb)"]


def test_any_fields_go_down_and_across(curves):
    table = pivot(curves, "task+seed,rank+metric", "f1")
    assert table.heads == ["Task", "Seed", "1 f1", "2 f1", "8 f1"]
    assert ["mrpc", "4242", "91.00 (1)", "90.00 (1)", "—"] in table.rows


def test_behind_the_ranks_stand_their_mean_and_the_area_of_complete_curves(curves):
    table = pivot(curves, "task+system,rank")
    assert table.heads == ["Task", "System", "1", "2", "8", "mean", "AURAC"]
    # seed 10: mean 91, area (90.5 * 1 + 91.5 * 6) / 7; seed 42: 91.5, (91.75 + 91.25 * 6) / 7; seed 4242 lacks rank 8
    means, areas = (91.0, 91.5), ((90.5 + 91.5 * 6) / 7, (91.75 + 91.25 * 6) / 7)
    shown = [f"{(a + b) / 2:.2f} ± {abs(a - b) / 2**0.5:.2f} (2)" for a, b in (means, areas)]
    assert table.rows[0][-2:] == shown
    assert next(row for row in table.rows if row[1] == "Fine Tune")[-2:] == ["—", "—"]
    assert {record["rank"] for record in table.tidy} == {1, 2, 8, "mean", "AURAC"}


@pytest.mark.parametrize(
    ("by", "metric", "words"),
    [
        ("system", None, "--by: must be rows,columns, got 'system'"),
        ("system,sytem", None, "--by: must be fields among system, task, rank, seed, metric, got 'sytem'"),
        ("system,system", None, "--by: must be rows,columns"),
        ("system,rank", "f2", "--metric: must be a metric of the runs: accuracy, f1, pearson, got 'f2'"),
    ],
)
def test_wrong_fields_and_metrics(curves, by, metric, words):
    with pytest.raises(InputError) as caught:
        pivot(curves, by, metric)
    assert words in str(caught.value)
