"""The tables as computed by hand from known run files."""

import pytest

from dylora.errors import InputError
from dylora.report.curves import build_curves, without_repeats
from dylora.report.paper_tables import PaperTable
from dylora.report.printed import TABLES
from dylora.report.results import read_results


@pytest.fixture
def fill():
    """The table of the runs below a folder, with the notes of reading them."""

    def table(folder, number, metric=None):
        results, notes = read_results([folder], number, "last")
        curves, missing = build_curves(results)
        filled = PaperTable(number, without_repeats(curves), metric).table()
        filled.notes += missing + notes
        return filled

    return table


def test_a_table_computed_by_hand(known_runs, fill):
    table = fill(known_runs, "3")
    assert table.heads == ["System", "Rank", "mrpc f1", "stsb pearson"]
    assert table.rows == [
        # 91.00 = (90 + 92 + 91) / 3, deviation 1; the older run of seed 42 and the crashed one are not in it
        ["LoRA (one per rank)", "1", "91.50 (1) [91.93, -0.43]", "— [90.85]"],
        ["DyLoRA", "1", "91.00 ± 1.00 (3) [91.58 ± 0.69, -0.58]", "90.00 (1) [90.30 ± 0.13, -0.30]"],
        # 91.50 = (92 + 91) / 2: seed 4242 has no rank 8; deviation sqrt(1 / 2)
        ["DyLoRA", "8", "91.50 ± 0.71 (2) [91.38 ± 0.83, +0.12]", "90.50 (1) [91.05 ± 0.19, -0.55]"],
        # (90 + 91 + 92) / 3 = 91 and (92 + 91.5 + 91) / 3 = 91.5; (90 + 90 + 90.5) / 3 = 90.17
        ["DyLoRA", "mean", "91.25 ± 0.35 (2)", "90.17 (1)"],
        # (90.5 + 6 * 91.5) / 7 = 91.357 and (91.75 + 6 * 91.25) / 7 = 91.321; (90 + 6 * 90.25) / 7 = 90.21
        ["DyLoRA", "AURAC", "91.34 ± 0.03 (2)", "90.21 (1)"],
        ["DyLoRA", "best", "91.50 ± 0.71 at rank 8 (2)", "90.50 at rank 8 (1)"],
        ["Fine Tune", "full", "90.50 (1) [90.2, +0.30]", "— [91.2]"],
        ["FLOP", "full", "— [88.61]", "— [88.18]"],
    ]
    assert table.notes == [
        "Best ranks are chosen on the validation figures that are shown, so these are optimistic",
        "No figures on sst2 accuracy, qnli accuracy: the paper's are left out",
        "No runs of FLOP",
        "No figure for LoRA (one per rank), rank 1, on stsb pearson",
        "No figure for Fine Tune, rank full, on stsb pearson",
        "dylora mrpc seed 4242 lacks rank 8: not in its mean and AURAC",
        "dylora mrpc seed 1010 failed (ValueError: no memory left): not counted",
        f"dylora mrpc seed 42: 2 runs, the newest counts ({known_runs}/logs/dylora/mrpc/seed_42/task/version_0)",
    ]


def test_the_papers_average_needs_all_of_its_tasks(save_run, fill, tmp_path):
    for task, metric in (("sst2", "accuracy"), ("mrpc", "f1"), ("qnli", "accuracy"), ("stsb", "pearson")):
        save_run("dylora", task, 10, {metric: {1: 0.90, 8: 0.92}})
    save_run("lora_per_rank", "mrpc", 10, {"f1": {1: 0.9}}, rank=1)
    rows = {(row[0], row[1]): row[-1] for row in fill(tmp_path, "3").rows}
    assert rows["DyLoRA", "1"] == "90.00 [91.77, -1.77]"
    assert rows["LoRA (one per rank)", "1"] == "— [92.09]"


def test_the_papers_lora_is_compared_with_its_own_cut_and_the_others_stand_beside_it(save_run, fill, tmp_path):
    cuts = {name: {"f1": {1: value, 8: 0.91}} for name, value in (("alpha-b", 0.8), ("alpha-max_rank", 0.85))}
    save_run("lora", "mrpc", 10, {"f1": {1: 0.8, 8: 0.91}}, cuts=cuts)
    rows = [row for row in fill(tmp_path, "2").rows if row[1] == "1"]
    assert ["LoRA, cut alpha/b", "1", "80.00 (1) [83.47 ± 3.90, -3.47]"] in rows
    assert ["LoRA, cut alpha/max_rank", "1", "85.00 (1)"] in rows
    assert all(row[0] != "LoRA" for row in rows)


def test_figures_of_its_own_that_differ_from_every_cut_keep_a_row(save_run, fill, tmp_path):
    save_run("lora", "mrpc", 10, {"f1": {1: 0.7, 8: 0.91}}, cuts={"alpha-b": {"f1": {1: 0.8, 8: 0.91}}})
    rows = [row for row in fill(tmp_path, "2").rows if row[1] == "1"]
    assert ["LoRA, cut alpha/b", "1", "80.00 (1) [83.47 ± 3.90, -3.47]"] in rows
    assert ["LoRA", "1", "70.00 (1)"] in rows


def test_lora_that_was_not_cut_is_compared_by_its_own_figures(save_run, fill, tmp_path):
    save_run("lora", "mrpc", 10, {"f1": {1: 0.8, 8: 0.91}})
    assert ["LoRA", "1", "80.00 (1) [83.47 ± 3.90, -3.47]"] in fill(tmp_path, "2").rows


def test_the_best_rank_stands_beside_the_papers(save_run, fill, tmp_path):
    save_run("dylora", "rte", 10, {"accuracy": {1: 0.7, 5: 0.75, 8: 0.75}})
    (best,) = [row for row in fill(tmp_path, "2").rows if row[:2] == ["DyLoRA", "best"]]
    assert best[2].startswith("75.00 at rank 5 (1) [")
    assert " at rank " in best[2].split("[")[1]


def test_ranks_trained_one_by_one_form_one_curve(save_run, fill, tmp_path):
    for rank, value in ((1, 0.87), (2, 0.88), (64, 0.89)):
        save_run("lora_per_rank", "mrpc", 10, {"accuracy": {rank: value}}, rank=rank)
    rows = {row[1]: row[2] for row in fill(tmp_path, "1").rows}
    assert rows["1"] == "87.00 (1) [87.25, -0.25]"
    assert rows["64"] == "89.00 (1)"
    assert rows["4"] == "— [88.24]"
    assert rows["mean"] == "88.00 (1)"


def test_text_tables_have_the_papers_scales(save_run, fill, tmp_path):
    figures = {"perplexity": {1: 2.0}, "bleu": {1: 0.6886}, "nist": {1: 8.7}, "rouge_l": {1: 0.7}}
    save_run("dylora", "e2e", 10, figures)
    table = fill(tmp_path, "6")
    row = next(row for row in table.rows if row[:2] == ["DyLoRA", "1"])
    assert row[2] == "68.86 (1) [68.86 ± 0.55, +0.00]"
    assert row[3].startswith("8.70 (1) [8.7")
    assert "No figures on e2e meteor, e2e cider: the paper's are left out" in table.notes


def test_another_metric_takes_the_place_of_the_papers(known_runs, fill):
    table = fill(known_runs, "3", "accuracy")
    assert table.heads[2:] == ["mrpc accuracy"]
    assert table.rows[0][:3] == ["DyLoRA", "1", "50.00 (1)"]


def test_a_metric_that_no_run_has(known_runs, fill):
    with pytest.raises(
        InputError, match="--metric: must be a metric of the runs, got f2; they have accuracy, f1, pear"
    ):
        fill(known_runs, "3", "f2")


def test_a_task_of_ones_own_has_no_printed_figures(save_run, fill, tmp_path):
    save_run("dylora", "restaurants", 10, {"accuracy": {1: 0.9, 8: 0.91}})
    table = fill(tmp_path, "3")
    assert table.heads == ["System", "Rank", "restaurants accuracy"]
    assert table.rows[0] == ["DyLoRA", "1", "90.00 (1)"]
    assert {row[0] for row in table.rows} == {"DyLoRA"}


@pytest.mark.parametrize("number", [number for number in TABLES if number not in ("5", "7", "8")])
def test_every_table_of_scores_is_filled(number, save_run, fill, tmp_path):
    metrics = ("accuracy", "f1", "bleu", "ter_pyter")
    save_run("dylora", "mrpc", 10, {metric: {1: 0.5, 8: 0.6} for metric in metrics})
    save_run("dylora", "dart", 10, {metric: {1: 0.5, 4: 0.6} for metric in metrics})
    table = fill(tmp_path, number)
    assert table.rows
    assert all(len(row) == len(table.heads) for row in table.rows)
