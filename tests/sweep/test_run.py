"""A sweep skips, resumes, keeps going, and says so."""

from dataclasses import replace
from functools import partial

import pytest

from dylora.report.results import read_results, read_tuning
from dylora.runs.record import read_record
from dylora.sweep.engines import one_after_another
from dylora.sweep.expansion import choose, expand
from dylora.sweep.file import System, Tuning
from dylora.sweep.run import run_sweep


@pytest.fixture
def carry_out(fake, tmp_path):
    """Run an experiment with the pretended command; gives the exit status and what was said."""

    def sweep(experiment):
        lines = []
        runs = expand(experiment, "s", tmp_path, {})
        return run_sweep(runs, partial(one_after_another, start=fake), lines.append), lines

    return sweep


def test_a_failing_run_does_not_end_the_others_and_is_listed(experiment, fake, carry_out):
    fake.outcomes["dylora/mrpc/seed_10"] = [1]
    status, lines = carry_out(experiment)
    assert status == 1
    assert len([line for line in lines if ": finished after" in line]) == 7
    assert any(line.startswith("[2/8] dylora mrpc seed 10: failed after 0 s (ValueError: no memory") for line in lines)
    assert lines[-2] == "1 run failed; the same command tries again:"
    assert lines[-1] == "  dylora mrpc seed 10: ValueError: no memory left"


def test_only_what_is_not_finished_is_run_again(experiment, fake, carry_out):
    fake.outcomes["dylora/mrpc/seed_10"] = [1]
    carry_out(experiment)
    fake.commands.clear()
    status, lines = carry_out(experiment)
    assert status == 0
    (command,) = fake.commands
    assert command[-1].startswith("--ckpt_path=")
    assert lines[0] == "7 of 8 runs are finished already"
    assert lines[-1] == "All 8 runs are finished"


def test_an_interrupted_run_ends_the_sweep_which_goes_on_with_it(experiment, fake, carry_out):
    fake.outcomes["lora/rte/seed_10"] = [130]
    status, lines = carry_out(experiment)
    assert status == 130
    assert lines[-1] == "Interrupted; the same command goes on where it stopped"
    started = len([command for command in fake.commands if command[0] == "fit"])
    assert started == 3
    fake.commands.clear()
    assert carry_out(experiment)[0] == 0
    assert len([command for command in fake.commands if command[0] == "fit"]) == 8 - 2
    assert fake.commands[0][-1].startswith("--ckpt_path=")


def test_the_first_seeds_best_learning_rate_is_taken_for_the_others(experiment, fake, carry_out, tmp_path):
    fake.scores = {"lr_0.0004": 0.7, "lr_0.002": 0.9, "lr_0.01": 0.8}
    grid = System(learning_rates=(4e-4, 2e-3, 1e-2))
    part = choose(replace(experiment, systems={"dylora": grid}, seeds=(10, 42, 7)), [], ["rte"], [])
    status, _ = carry_out(part)
    assert status == 0
    places = sorted(str(path.parent.relative_to(tmp_path / "s/dylora/rte")) for path in tmp_path.rglob("run.json"))
    assert places == ["seed_10/lr_0.0004", "seed_10/lr_0.002", "seed_10/lr_0.01", "seed_42/lr_0.002", "seed_7/lr_0.002"]
    assert read_record(tmp_path / "s/dylora/rte/seed_42/lr_0.002").learning_rate == 2e-3


def test_without_a_finished_learning_rate_the_other_seeds_fail(experiment, fake, carry_out):
    fake.outcomes["seed_10"] = [1]
    part = replace(experiment, systems={"dylora": System(learning_rates=(4e-4,))})
    status, lines = carry_out(choose(part, [], ["rte"], []))
    assert status == 1
    assert lines[-1] == "  dylora rte seed 42: none of the learning rates that were tried finished"


def test_learning_rates_are_tried_apart_and_judged_by_the_best_cut(experiment, fake, carry_out, tmp_path):
    """Tuning on rows that are not reported: lr 0.002 is best under its cut, and no seed reports a trial's figures."""
    fake.curves = {"tuning/lr_0.0004": ((0.5, 0.9), (0.6, 0.7)), "tuning/lr_0.002": ((0.1, 0.8), (0.7, 0.8))}
    grid = System(learning_rates=(4e-4, 2e-3), cuts=("svd",))
    tuning = Tuning({"data.validation_share": 0.1}, seed=3)
    part = replace(experiment, systems={"lora": grid}, seeds=(10, 42), tuning=tuning)
    status, _ = carry_out(choose(part, [], ["rte"], []))
    assert status == 0
    place = tmp_path / "s/lora/rte"
    places = sorted(str(path.parent.relative_to(place)) for path in tmp_path.rglob("run.json"))
    assert places == ["seed_10/lr_0.002", "seed_42/lr_0.002", "tuning/lr_0.0004", "tuning/lr_0.002"]
    trial, final = read_record(place / "tuning/lr_0.002"), read_record(place / "seed_10/lr_0.002")
    assert (trial.tunes, trial.seed, trial.overrides["data.validation_share"]) == (True, 3, 0.1)
    assert (final.tunes, final.seed, "data.validation_share" in final.overrides) == (False, 10, False)
    results, _ = read_results([tmp_path], None, "last")
    assert {result.record.seed for result in results} == {10, 42}
    (chosen,) = read_tuning([tmp_path], results)
    assert (chosen.record.seed, chosen.record.learning_rate) == (3, 2e-3)


def test_each_run_is_shown_while_it_is_under_way_and_nothing_when_the_sweep_ends(experiment, fake, tmp_path):
    shown = []
    runs = expand(experiment, "s", tmp_path, {})
    run_sweep(runs, partial(one_after_another, start=fake), lambda _: None, show=shown.append)
    states = [text for text in shown if text]
    assert [text.partition("]")[0] for text in states] == [f"[{number}/8" for number in range(1, 9)]
    assert all(run.record().title in text for run, text in zip(runs, states, strict=True))
    assert shown[-1] == ""
