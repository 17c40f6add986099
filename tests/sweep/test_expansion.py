"""Systems x tasks x seeds, each in a place that follows from what it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from dylora.errors import InputError
from dylora.sweep.expansion import check_places, choose, expand
from dylora.sweep.file import System

ROOT = Path("logs")


def test_every_system_runs_on_every_task_with_every_seed(experiment):
    runs = expand(experiment, "table2", ROOT, {})
    assert [str(run.place) for run in runs] == [
        f"logs/table2/{system}/{task}/seed_{seed}"
        for seed in (10, 42)
        for task in ("mrpc", "rte")
        for system in ("lora", "dylora")
    ]


def test_overrides_win_over_the_system_which_wins_over_what_is_common(experiment):
    systems = {"dylora": System(options={"trainer.max_epochs": 4, "model.adapter.alpha": 8})}
    (run,) = expand(replace(experiment, systems=systems, seeds=(1,)), "s", ROOT, {"model.adapter.alpha": 9})[:1]
    assert run.overrides == {"trainer.max_epochs": 4, "model.adapter.alpha": 9, "seed_everything": 1}


def test_a_command_holds_everything_that_fit_needs(experiment, tmp_path):
    run = expand(experiment, "table2", ROOT, {"data.data_dir": "glue", "model.adapter.target_modules": ["q", "v"]})[0]
    assert run.command == [
        "fit",
        f"--config={tmp_path / 'a.yaml'}",
        "--trainer.default_root_dir=logs/table2/lora/mrpc/seed_10",
        "--trainer.enable_progress_bar=false",
        "--trainer.max_epochs=3",
        "--rank_sampling.distribution=max_rank",
        "--data.data_dir=glue",
        '--model.adapter.target_modules=["q", "v"]',
        "--seed_everything=10",
    ]


def test_a_system_with_ranks_is_trained_once_for_each(experiment):
    sweep = replace(experiment, systems={"search": System(ranks=(1, 8))}, seeds=(10,))
    runs = expand(choose(sweep, [], ["rte"], []), "s", ROOT, {})
    assert [str(run.place) for run in runs] == [f"logs/s/search/rte/seed_10/rank_{rank}" for rank in (1, 8)]
    assert runs[1].overrides["model.adapter.max_rank"] == runs[1].overrides["model.adapter.min_rank"] == 8


def test_a_grid_of_learning_rates_is_tried_with_the_first_seed_alone(experiment):
    sweep = choose(replace(experiment, systems={"dylora": System(learning_rates=(4e-4, 2e-3))}), [], ["rte"], [])
    runs = expand(sweep, "s", ROOT, {})
    assert [str(run.place.relative_to("logs/s/dylora/rte")) for run in runs] == [
        "seed_10/lr_0.0004",
        "seed_10/lr_0.002",
        "seed_42",
    ]
    assert runs[1].overrides["model.learning_rate"] == 2e-3
    assert runs[2].learning_rates == (4e-4, 2e-3)
    assert str(runs[2].at(2e-3).place) == "logs/s/dylora/rte/seed_42/lr_0.002"


@pytest.mark.parametrize(
    ("systems", "tasks", "words"),
    [
        (["dlora"], [], "--systems: must be among those of the file: lora, dylora, got 'dlora'"),
        ([], ["cola"], "--tasks: must be among those of the file: mrpc, rte, got 'cola'"),
    ],
)
def test_a_filter_names_what_is_not_in_the_file(experiment, systems, tasks, words):
    with pytest.raises(InputError) as caught:
        choose(experiment, systems, tasks, [])
    assert words in str(caught.value)


def test_a_part_of_the_systems_tasks_and_seeds(experiment):
    part = choose(experiment, ["dylora"], ["rte"], [1, 2, 3])
    assert (list(part.systems), list(part.tasks), part.seeds) == (["dylora"], ["rte"], (1, 2, 3))


def test_a_place_of_a_run_with_other_options_is_refused(experiment, tmp_path):
    (run,) = expand(choose(experiment, ["dylora"], ["rte"], [10]), "s", tmp_path, {})
    run.record().write(run.place)
    check_places([run])
    (other,) = expand(choose(experiment, ["dylora"], ["rte"], [10]), "s", tmp_path, {"trainer.max_epochs": 9})
    with pytest.raises(InputError, match=r"seed_10 with trainer\.max_epochs 3; now 9: give another --root"):
        check_places([other])


def _resolved(experiment, root, **settings):
    (run,) = expand(choose(experiment, ["dylora"], ["rte"], [10]), "s", root, {})
    return replace(run, configuration={"data.max_length": 128, "model.learning_rate": 4e-4, **settings})


def test_a_place_of_a_run_with_another_task_configuration_is_refused(experiment, tmp_path):
    run = _resolved(experiment, tmp_path)
    run.record().write(run.place)
    assert check_places([run, _resolved(experiment, tmp_path)]) == []
    words = r"seed_10 with data\.max_length 128, model\.learning_rate 0\.0004; now 64, 0\.001: give another --root"
    with pytest.raises(InputError, match=words):
        check_places([_resolved(experiment, tmp_path, **{"data.max_length": 64, "model.learning_rate": 1e-3})])


def test_of_a_record_without_settings_the_sweeps_options_are_compared_and_it_is_said(experiment, tmp_path):
    run = _resolved(experiment, tmp_path)
    replace(run.record(), settings={}).write(run.place)
    (note,) = check_places([run])
    assert note.startswith(f"{run.place}: of an older version, without the task's configuration")


def test_a_runs_settings_are_its_configuration_with_its_own_seed_rank_and_rate(experiment):
    sweep = replace(experiment, systems={"s": System(ranks=(1, 8), learning_rates=(4e-4, 1e-3))}, seeds=(10,))
    runs = expand(choose(sweep, [], ["rte"], []), "s", ROOT, {})
    base = {"seed_everything": 0, "model.adapter.max_rank": 1, "model.learning_rate": 1.0, "data.task": "rte"}
    settings = replace(runs[-1], configuration=base).settings
    expected = {"seed_everything": 10, "model.adapter.max_rank": 8, "model.adapter.min_rank": 8}
    assert settings == {**expected, "model.learning_rate": 1e-3, "data.task": "rte"}


@pytest.mark.parametrize("name", ["../evil", "../../evil", "a/../../b", "/evil", "", ".", "a\nb"])
def test_no_name_leads_out_of_the_root(experiment, name):
    with pytest.raises(InputError, match=r"--name: must be a name of a folder below the root"):
        expand(experiment, name, ROOT, {})
    with pytest.raises(InputError, match=r"systems: must be a name of a folder below the root"):
        expand(replace(experiment, systems={name: System()}), "s", ROOT, {})
    with pytest.raises(InputError, match=r"tasks: must be a name of a folder below the root"):
        expand(replace(experiment, tasks={name: Path("a.yaml")}), "s", ROOT, {})
