"""Systems compared with one of them, by hand."""

import numpy as np
import pytest

from dylora.errors import InputError
from dylora.rank_curve.kept import KeptOutcomes
from dylora.report.against import against_table
from dylora.report.curves import build_curves, without_repeats
from dylora.report.reference import find_reference
from dylora.report.results import read_results


@pytest.fixture
def compare(tmp_path):
    """The table of the runs against a reference; gives it."""

    def table(against, metric=None):
        curves, _ = build_curves(read_results([tmp_path], None, "last")[0])
        return against_table(without_repeats(curves), find_reference(curves, against), metric)

    return table


def rows(table):
    return {tuple(row[:2]): dict(zip(table.heads[2:], row[2:], strict=True)) for row in table.rows}


def kept(values, expected=None):
    """Outcomes of accuracy: at each rank, whether each example is right."""
    values = np.array(values, dtype=int)
    expected = np.ones(values.shape[1], dtype=int) if expected is None else expected
    places = np.arange(values.shape[1])
    return KeptOutcomes("classes", "accuracy", tuple(range(1, len(values) + 1)), values, expected, 0 * places, places)


def accuracy(outcomes):
    return {"accuracy": {r: float(row.mean()) for r, row in zip(outcomes.ranks, outcomes.values, strict=True)}}


def test_over_the_seeds_alone_by_t_at_each_rank_in_the_mean_and_in_aurac(save_run, compare):
    for seed, base, gains in ((1, 0.8, (0.01, 0)), (2, 0.7, (0.02, 0)), (3, 0.6, (0.03, 0))):
        save_run("lora", "mrpc", seed, {"f1": {1: base, 2: base}})
        save_run("dylora", "mrpc", seed, {"f1": {1: base + gains[0], 2: base + gains[1]}})
    save_run("dylora", "mrpc", 4, {"f1": {1: 0.0, 2: 0.0}})  # no pair
    table = compare("lora")
    assert table.heads == ["Task", "System", "Seeds", "1", "2", "mean", "AURAC"]
    assert rows(table)["mrpc f1", "LoRA (itself)"] == {
        "Seeds": "3", "1": "70.00", "2": "70.00", "mean": "70.00", "AURAC": "70.00"
    }  # fmt: skip
    # mean 2, deviation 1, 4.3027 / sqrt(3) = 2.484
    assert rows(table)["mrpc", "DyLoRA"] == {
        "Seeds": "3",
        "1": "+2.00 [-0.48, +4.48] cannot tell",
        "2": "+0.00 [+0.00, +0.00] cannot tell",
        "mean": "+1.00 [-0.24, +2.24] cannot tell",
        "AURAC": "+1.00 [-0.24, +2.24] cannot tell",
    }
    assert "Over the seeds alone, not all runs kept outcomes: all" in table.notes


def test_examples_tell_what_one_seed_cannot(save_run, compare):
    before = np.zeros((2, 400))
    before[:, :200] = 1
    after = before.copy()
    after[0, 200:240] = 1  # 40 of 400 that were wrong: +10 points; error sqrt(0.1 * 0.9 / 400) = 1.5 points
    after[1, 160:180] = 0  # 20 turn wrong: -5 points; error 1.09
    for system, values in (("lora", before), ("dylora", after)):
        save_run(system, "mrpc", 1, accuracy(kept(values)), kept={"": kept(values)})
    table = compare("lora")
    gains = {record["rank"]: record for record in table.tidy}
    for rank, value, error in ((1, 10, 1.5), (2, -5, 1.09)):
        assert gains[rank]["value"] == pytest.approx(value)
        assert gains[rank]["high"] - value == pytest.approx(1.966 * error, rel=0.08)
    assert [gains[rank]["verdict"] for rank in (1, 2)] == ["win", "loss"]
    assert gains[1]["examples"] == "400"
    assert any(note.startswith("With one seed") for note in table.notes)


def test_a_system_that_is_trained_once_per_rank_and_a_cut_have_outcomes_too(save_run, compare):
    generator = np.random.default_rng(0)
    cut, single = generator.integers(2, size=(2, 200)), generator.integers(2, size=(2, 200))
    save_run("lora", "mrpc", 1, accuracy(kept(cut[::-1])), {"svd": accuracy(kept(cut))}, kept={"svd": kept(cut)})
    for rank in (1, 2):
        one = kept(single[[rank - 1]])
        one = KeptOutcomes(one.kind, one.metric, (rank,), one.values, one.expected, one.split, one.index)
        save_run("lora_per_rank", "mrpc", 1, accuracy(one), kept={"": one}, rank=rank)
    record = next(r for r in compare("lora_svd").tidy if r["system"] == "lora_per_rank" and r["rank"] == 1)
    assert record["value"] == pytest.approx(100 * (single[0].mean() - cut[0].mean()))
    assert record["examples"] == "200"
    differences = single[0] - cut[0]
    error = 100 * differences.std() / 200**0.5
    assert record["high"] - record["low"] == pytest.approx(2 * 1.972 * error, rel=0.08)


def test_scores_and_texts_of_three_seeds_are_paired_by_example_too(save_run, compare):
    generator = np.random.default_rng(0)
    places, truth = np.arange(300), generator.normal(size=300)
    for seed in (1, 2, 3):
        scores = truth + generator.normal(size=(2, 300))
        better = 0.8 * scores + 0.2 * truth
        loss = np.stack([generator.gamma(20, size=300), np.zeros(300), np.full(300, 10.0)], -1)[None]
        less = loss - [1.0, 0, 0]
        for system, predicted, nll in (("lora", scores, loss), ("dylora", better, less)):
            one = KeptOutcomes("scores", "pearson", (1, 2), predicted, truth, 0 * places, places)
            pearson = {rank: np.corrcoef(row, truth)[0, 1] for rank, row in zip((1, 2), predicted, strict=True)}
            save_run(system, "stsb", seed, {"pearson": pearson}, kept={"": one})
            two = KeptOutcomes("tokens", "perplexity", (4,), nll, np.zeros(0), 0 * places, places)
            perplexity = {4: np.exp(nll[0, :, 0].sum() / nll[0, :, 2].sum())}
            save_run(system, "text", seed, {"perplexity": perplexity}, kept={"": two})
    table = compare("lora")
    assert not any("alone, " in note for note in table.notes)
    verdicts = {(r["task"], r["rank"]): (r["verdict"], r["examples"]) for r in table.tidy if r["figure"] == "gain"}
    assert verdicts["stsb", 1] == verdicts["text", 4] == ("win", "300")


@pytest.mark.parametrize("wrong", ["other examples", "other figures"])
def test_outcomes_that_do_not_fit_are_left_out_and_that_is_said(save_run, compare, wrong):
    values = np.random.default_rng(0).integers(2, size=(2, 200))
    other = kept(1 - values, np.zeros(200, dtype=int)) if wrong == "other examples" else kept(1 - values)
    figures = accuracy(kept(values))
    save_run("lora", "mrpc", 1, figures, kept={"": kept(values)})
    save_run("dylora", "mrpc", 1, figures, kept={"": other})
    table = compare("lora")
    assert rows(table)["mrpc", "DyLoRA"]["1"] == "+0.00 cannot tell"
    reason = {"other examples": "the runs were evaluated on different", "other figures": "not all runs kept"}[wrong]
    assert any(note.startswith(f"Over the seeds alone, {reason}") for note in table.notes)


def test_over_tasks_the_mean_of_those_on_one_scale_and_the_probability_of_improvement_over_all(save_run, compare):
    figures = {
        "mrpc": ("f1", [(0.80, 0.81), (0.70, 0.72), (0.60, 0.63)]),
        "stsb": ("pearson", [(0.50, 0.52), (0.50, 0.53), (0.50, 0.51)]),
        "text": ("perplexity", [(9.0, 8.0), (9.1, 9.5), (9.2, 8.2)]),
    }
    for task, (metric, seeds) in figures.items():
        for seed, (before, after) in enumerate(seeds):
            save_run("lora", task, seed, {metric: {1: before, 8: before}})
            save_run("dylora", task, seed, {metric: {1: after, 8: after}})
    table = compare("lora")
    # both gain 1, 2 and 3 points: 2, error of the mean sqrt(1/3 + 1/3) / 2 = 0.408, 4 degrees of freedom, t 2.776
    assert rows(table)["mean of 2 tasks", "DyLoRA"]["1"] == "+2.00 [+0.87, +3.13] win"
    # lower is better: 1, -0.4 and 1
    assert rows(table)["text", "DyLoRA"]["8"].startswith("+0.53 [-1.4")
    # mrpc: of 81, 72, 63 against 80, 70, 60 better 3 + 2 + 1 of 9; stsb 9 of 9; text 8, 8.2 better than all, 9.5 none
    assert rows(table)["P(better), 3 tasks", "DyLoRA"]["1"].startswith(f"{(6 / 9 + 1 + 6 / 9) / 3:.2f} [")
    assert "Not in the mean over the tasks, being on other scales: text (perplexity)" in table.notes


def test_the_best_cut_is_chosen_for_each_task_and_all_seeds_together(save_run, compare):
    for seed, shift in ((1, 0.0), (2, 0.01)):
        low, high = {"f1": {1: 0.6 + shift, 2: 0.6}}, {"f1": {1: 0.7 + shift, 2: 0.7}}
        learned = {"f1": {1: 0.9, 2: 0.9}}  # it trains, so that it is none of those that are compared with
        save_run("lora", "mrpc", seed, {"f1": {1: 0.5, 2: 0.5}}, {"svd": low, "prefix": high, "learned": learned})
        save_run("lora", "rte", seed, {"f1": {1: 0.5, 2: 0.5}}, {"svd": high, "prefix": low})
        for task in ("mrpc", "rte"):
            save_run("dylora", task, seed, {"f1": {1: 0.72 + 2 * shift, 2: 0.7}})
    table = compare("lora/best")
    assert table.title == "Gain on LoRA, best cut"
    assert rows(table)["mrpc", "DyLoRA"]["1"].startswith("+2.50 [")
    assert rows(table)["rte", "LoRA, cut prefix"]["2"] == "-10.00 cannot tell"
    chosen = "by AURAC on the figures compared here, which favours it"
    assert f"Best cut of lora on mrpc: prefix, {chosen}" in table.notes
    assert f"Best cut of lora on rte: svd, {chosen}" in table.notes


def test_the_best_cut_is_chosen_on_tuning_runs_where_there_are_some(save_run, tmp_path):
    cuts = {"svd": {"f1": {1: 0.6, 2: 0.6}}, "prefix": {"f1": {1: 0.7, 2: 0.7}}}
    turned = {"svd": cuts["prefix"], "prefix": cuts["svd"]}
    save_run("lora", "mrpc", 1, {"f1": {1: 0.5, 2: 0.5}}, cuts)
    save_run("lora", "mrpc", 1, {"f1": {1: 0.5, 2: 0.5}}, turned, where="tuning")
    curves, tuning = (build_curves(read_results([tmp_path / w], None, "last")[0])[0] for w in ("logs", "tuning"))
    reference = find_reference(curves, "lora/best", tuning)
    assert reference.curves["mrpc"].cut == "svd"
    assert reference.notes == ["Best cut of lora on mrpc: svd, by AURAC on the tuning runs"]


def test_a_reference_that_nothing_can_be_compared_with(save_run, compare):
    save_run("lora", "mrpc", 1, {"f1": {1: 0.5}})
    save_run("dylora", "mrpc", 2, {"f1": {1: 0.5}})
    with pytest.raises(InputError, match="--against: must be a system that others can be compared with, got LoRA"):
        compare("lora")
    with pytest.raises(InputError, match="--against: must be a system that was evaluated under cuts"):
        compare("lora/best")
