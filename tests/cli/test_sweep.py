"""The command `sweep`: what it runs, and what it refuses in one line."""

import json
import signal

import pytest
import tiny
import yaml

from dylora.cli import main


@pytest.fixture(autouse=True)
def _signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def write(tmp_path):
    """Write a sweep file on the embedded task; gives its path."""

    def file(**changes):
        (tmp_path / "demo.yaml").write_text("data: {task: restaurants}\nrank_sampling: {recipe: dylora}\n")
        content = {"tasks": {"restaurants": "demo.yaml"}, "seeds": [10], "systems": {"dylora": None}, **changes}
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return file


def test_a_dry_run_lists_the_runs_and_starts_none(write, capsys, tmp_path):
    main(["sweep", str(write()), "--seeds", "1,2", "--dry_run"])
    out = capsys.readouterr().out
    assert "logs/small/dylora/restaurants/seed_1: not begun" in out
    assert "python -m dylora fit --config=" in out
    assert out.endswith("2 runs\n")
    assert not (tmp_path / "logs").exists()


def test_help_describes_every_option(capsys):
    for command, words in (("sweep", ("--dry_run", "--jobs", "slurm")), ("report", ("--table", "--plot", "v1.1"))):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code in (0, None)
        text = capsys.readouterr().out
        assert all(word in text for word in words)
        assert "(type: str)\n" not in text.replace("FOLDER", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--systems", "dlora"], "--systems: must be among those of the file: dylora, got 'dlora'"),
        (["--tasks", "cola"], "--tasks: must be among those of the file: restaurants, got 'cola'"),
        (["--seeds", "ten"], "--seeds: must be different whole numbers, 0 or larger, got 'ten'"),
        (["--seeds", "1,1"], "--seeds: must be different whole numbers"),
        (["--preset", "tiny"], "--preset: must be left out for a file without presets, got 'tiny'"),
        (["--set", "trainer.max_epochs"], "--set: must be KEY=VALUE, got 'trainer.max_epochs'"),
        (
            ["--set", "model.lerning_rate=1"],
            "task restaurants: must be options that fit takes, got --model.lerning_rate: SequenceClassification",
        ),
        (["--set", "model.lerning_rate=1"], "did you mean --model.learning_rate?"),
        (
            ["--set", "model.adapter.max_rank=x"],
            "small.yaml: system dylora, task restaurants: must be options that fit",
        ),
        (["--set", "trainer.fast_dev_run=true"], "trainer.fast_dev_run: must be false in a sweep"),
        (["--jobs", "0"], "--jobs: must be at least 1, got 0"),
        (["--engine", "slurm", "--jobs", "2"], "--jobs: must be left out with a cluster's engine, got 2"),
        (["--engine_option", "a=1"], "--engine_option: must be left out without --engine slurm or ray"),
        (["--engine", "cloud"], "cloud"),
        (["--sead", "1"], "--sead"),
        (["--set", "trainer.max_epochs=[1"], "--set"),
        (["--set", "model.backbone=builtin/bogus", "--jobs", "0"], "--jobs: must be at least 1, got 0"),
        (["--name", "../../evil"], "must be a name of a folder below the root, got '../../evil'"),
        (["--root", __file__], "--root"),
    ],
)
def test_wrong_options(write, refused, arguments, words, tmp_path):
    assert words in refused("sweep", write(), *arguments)
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"systems": {"lora": {"cuts": ["two_sided"]}}},
            "systems.lora.cuts: must be among alpha/b, alpha/max_rank, svd",
        ),
        ({"systems": {"lora": {"cuts": ["two_sided"]}}}, "got 'two_sided'; did you mean two-sided?"),
        ({"table": 99}, "table: must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, v1.1, got '99'"),
    ],
)
def test_what_is_used_after_training_is_checked_before(write, refused, changes, words, tmp_path):
    assert words in refused("sweep", str(write(**changes)), "--root", str(tmp_path / "logs"))


def test_an_unknown_key_and_a_missing_file(write, refused):
    line = refused("sweep", write(sistems={}))
    assert "small.yaml: sistems: must be one of the keys systems, tasks, table" in line
    assert "did you mean systems?" in line
    words = "FILE: must be a file or a name that comes with dylora, got 'nowhere.yaml'"
    assert words in refused("sweep", "nowhere.yaml")


@pytest.mark.slow
def test_a_sweep_and_its_report(write, backbone, tmp_path, capsys, refused):
    options = dict(option.removeprefix("--").split("=", 1) for option in tiny.options(backbone, tmp_path))
    del options["trainer.default_root_dir"], options["trainer.enable_progress_bar"], options["trainer.max_epochs"]
    common = {**options, "trainer.max_epochs": 1, "trainer.limit_train_batches": 3}
    systems = {"dylora": {"label": "DyLoRA"}, "dylora_frozen": {"options": {"rank_sampling.frozen": True}}}
    path = write(common=common, systems=systems, table=2)
    main(["sweep", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[1/2] dylora restaurants seed 10: finished after ")
    assert lines[2] == "All 2 runs are finished"
    main(["sweep", str(path)])
    assert capsys.readouterr().out.splitlines()[0] == "2 of 2 runs are finished already"

    run = tmp_path / "logs" / "small" / "dylora" / "restaurants" / "seed_10"
    record = json.loads((run / "run.json").read_text())
    figures = tiny.metrics_of(run / record["result"])["last"]["metrics"]["accuracy"]
    main(["report", "--table", "2", "--plot", "curves"])
    rows = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines()]
    assert ["", "DyLoRA", "3", f"{100 * figures['3']:.2f} (1)", ""] in rows
    assert (tmp_path / "curves.png").is_file()
    assert (tmp_path / "curves.svg").is_file()

    line = refused("sweep", path, "--set", "model.learning_rate=1")
    assert "seed_10 with model.learning_rate 0.01; now 1: give another --root" in line


@pytest.mark.slow
def test_a_run_whose_task_configuration_changed_is_neither_skipped_nor_continued(
    write, backbone, tmp_path, capsys, refused
):
    options = dict(option.removeprefix("--").split("=", 1) for option in tiny.options(backbone, tmp_path))
    del options["trainer.default_root_dir"], options["trainer.enable_progress_bar"], options["data.max_length"]
    path = write(common={**options, "trainer.max_epochs": 1, "trainer.limit_train_batches": 1})
    task = tmp_path / "demo.yaml"
    task.write_text("data: {task: restaurants, max_length: 24, num_workers: 0}\n")
    main(["sweep", str(path)])
    file = tmp_path / "logs" / "small" / "dylora" / "restaurants" / "seed_10" / "run.json"
    before = file.read_bytes()
    assert json.loads(before)["settings"]["data.max_length"] == 24
    task.write_text("data: {task: restaurants, max_length: 24, eval_batch_size: 16}\n")
    capsys.readouterr()
    main(["sweep", str(path)])  # nothing that decides a figure changed
    assert capsys.readouterr().out.startswith("1 of 1 runs are finished already")
    task.write_text("data: {task: restaurants, max_length: 12}\n")
    assert "seed_10 with data.max_length 24; now 12: give another --root or --name" in refused("sweep", path)
    assert file.read_bytes() == before
    record = {key: value for key, value in json.loads(before).items() if key != "settings"}
    file.write_text(json.dumps(record))
    main(["sweep", str(path)])
    captured = capsys.readouterr()
    assert captured.out.startswith("1 of 1 runs are finished already")
    assert "of an older version, without the task's configuration" in captured.err


def test_runs_on_several_devices_need_processes_of_their_own(write, refused, tmp_path):
    line = refused("sweep", write(), "--set", "trainer.devices=2", "--set", "trainer.accelerator=cpu")
    assert "--jobs: must be given for runs on several devices, which need a process of their own, got none" in line
    assert "with 2 devices (system dylora, task restaurants); add --jobs 1" in line
    assert not (tmp_path / "logs").exists()


@pytest.mark.slow
def test_a_run_that_fails_gives_status_1(write, backbone, tmp_path, capsys):
    options = dict(option.removeprefix("--").split("=", 1) for option in tiny.options(backbone, tmp_path))
    del options["trainer.default_root_dir"], options["trainer.enable_progress_bar"]
    systems = {"broken": {"options": {"rank_sampling.distribution": "weights", "rank_sampling.weights": [1.0]}}}
    with pytest.raises(SystemExit) as caught:
        main(["sweep", str(write(common=options, systems=systems))])
    assert caught.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "1 run failed; the same command tries again:"
    assert lines[-1].startswith("  broken restaurants seed 10: --rank_sampling.weights: must be 4 numbers")
