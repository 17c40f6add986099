"""A run, and what evaluation commands find of it afterwards."""

import json
import shutil
import signal

import pytest
import tiny
import torch
import yaml

from dylora.cli import main
from dylora.data.sources.glue import source_for
from dylora.modules.classification import SequenceClassificationModule
from dylora.tasks import get_task


def _table(text, metric):
    """Figures of the row of a metric in a printed table, by rank."""
    lines = text.splitlines()
    row = next(line for line in lines if line.startswith(f"{metric} "))
    header = next(line for line in lines if "rank " in line)
    ranks = [int(word) for before, word in zip(header.split(), header.split()[1:], strict=False) if before == "rank"]
    return dict(zip(ranks, map(float, row.split()[1 : 1 + len(ranks)]), strict=True))


def _ckpt(run, name):
    return torch.load(run / "checkpoints" / name, weights_only=True)


def test_a_run_leaves_its_files(trained):
    run = trained / "logs" / "restaurants" / "version_0"
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "checkpoints", "rank_metrics.json", "rank_curve.png"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["adapter"]["max_rank"] == 4
    assert "rank" not in config


def test_checkpoints_hold_adapters_and_head_alone(trained):
    state = _ckpt(trained / "logs" / "restaurants" / "version_0", "best.ckpt")["state_dict"]
    assert all("lora_" in name or ".classifier." in name for name in state)
    assert any("lora_A" in name for name in state)


@pytest.mark.parametrize("which", ["best", "last"])
def test_validate_at_each_rank_gives_the_figures_that_fit_logged(trained, which, capsys):
    run = trained / "logs" / "restaurants" / "version_0"
    logged = tiny.metrics_of(run)[which]["metrics"]
    for rank in (1, 2, 3, 4):
        checkpoint = run / "checkpoints" / f"{which}.ckpt"
        main(["validate", "--rank", str(rank), "--ckpt_path", str(checkpoint)])
        out = capsys.readouterr().out
        for metric in ("accuracy", "loss"):
            assert _table(out, metric) == {rank: pytest.approx(logged[metric][str(rank)], abs=5.1e-5)}


def test_validate_with_nothing_given_takes_the_newest_run_and_says_so(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    main(["validate", "--rank", "2-3"])
    out = capsys.readouterr().out
    assert out.startswith("Run logs/restaurants/version_0, checkpoint best.ckpt\n")
    assert set(_table(out, "accuracy")) == {2, 3}


def test_the_command_line_wins_over_the_checkpoint_and_the_config(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    main(["validate", "--rank", "all", "--trainer.limit_val_batches", "1", "--model.tolerance", "0.5"])
    assert set(_table(capsys.readouterr().out, "accuracy")) == {1, 2, 3, 4}


def test_test_reports_the_labelled_test_split(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    main(["test", "--rank", "1,4", "--trainer.limit_test_batches", "2"])
    assert set(_table(capsys.readouterr().out, "accuracy")) == {1, 4}


@pytest.mark.parametrize("which", ["best", "last"])
def test_test_chooses_no_rank_and_reports_that_of_the_validation(trained, monkeypatch, tmp_path, capsys, which):
    shutil.copytree(trained / "logs", tmp_path / "logs")
    run = tmp_path / "logs" / "restaurants" / "version_0"
    content = tiny.metrics_of(run)
    for epoch in content["epochs"]:  # as if rank 3 alone had been good on validation data
        epoch["metrics"]["accuracy"] = {"1": 0.1, "2": 0.1, "3": 0.9, "4": 0.1}
    content["chosen"]["rank"] = 3
    (run / "rank_metrics.json").write_text(json.dumps(content))
    logged = []
    monkeypatch.setattr(SequenceClassificationModule, "log", lambda self, name, *_, **__: logged.append(name))
    main(["test", "--ckpt_path", f"{run}/checkpoints/{which}.ckpt"])
    out = capsys.readouterr().out
    figures = {name: _table(out, name)[3] for name in ("accuracy", "loss")}
    words = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    assert out.splitlines()[-1] == f"Rank chosen on validation: 3 (accuracy 0.9000 there); on test: {words}"
    header = next(line for line in out.splitlines() if line.startswith("test "))
    assert header.split()[-1] == "mean"
    assert "test/accuracy/rank_3" in logged
    assert not [name for name in logged if name.endswith(("best_rank", "chosen_rank"))]

    main(["test", "--rank", "1", "--ckpt_path", f"{run}/checkpoints/{which}.ckpt"])
    assert capsys.readouterr().out.endswith("there); it is not among the ranks that were asked for\n")
    (run / "rank_metrics.json").unlink()
    main(["test", "--ckpt_path", f"{run}/checkpoints/{which}.ckpt"])
    assert f"Rank chosen on validation: none, {run} has no validation of {which}.ckpt" in capsys.readouterr().out


def test_predict_writes_each_rank_in_the_order_of_the_data_and_nothing_over(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(trained)
    arguments = ["predict", "--rank", "1,3", "--output", str(tmp_path / "out"), "--data.eval_batch_size", "64"]
    main(arguments)
    records = tiny.records_of(tmp_path / "out" / "test.jsonl")
    assert [record["index"] for record in records] == list(range(len(records)))
    rows = source_for(get_task("restaurants"), None).rows("test")
    for record, row in zip(records, rows, strict=True):
        assert {name: record[name] for name in ("sentence1", "sentence2")} == {
            n: row[n] for n in ("sentence1", "sentence2")
        }
        assert record["label"] == ("entailment", "not_entailment")[row["labels"]]
        assert set(record["ranks"]) == {"1", "3"}
        for prediction in record["ranks"].values():
            assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    main(arguments)
    assert (tmp_path / "out" / "test-1.jsonl").read_text() == (tmp_path / "out" / "test.jsonl").read_text()


def test_a_rerun_gets_its_own_folder_and_the_same_weights(trained, backbone, tmp_path):
    for _ in range(2):
        main(["fit", *tiny.options(backbone, tmp_path)])
    runs = [tmp_path / "logs" / "restaurants" / f"version_{number}" for number in (0, 1)]
    states = [_ckpt(run, "last.ckpt")["state_dict"] for run in (*runs, trained / "logs/restaurants/version_0")]
    for other in states[1:]:
        assert all(torch.equal(tensor, other[name]) for name, tensor in states[0].items())


@pytest.mark.parametrize("step", [2, 4, 5, 8])
def test_interrupted_at_any_step_and_resumed_ends_with_the_same_weights(trained, backbone, tmp_path, step, capsys):
    signal = {"trainer.callbacks+": "record.SignalAt", "trainer.callbacks.step": step}
    with pytest.raises(SystemExit) as caught:
        main(["fit", *tiny.options(backbone, tmp_path, **signal)])
    assert caught.value.code == 130
    run = tmp_path / "logs" / "restaurants" / "version_0"
    assert f"--ckpt_path {run}/checkpoints/last.ckpt" in capsys.readouterr().out
    assert _ckpt(run, "last.ckpt")["global_step"] == step + 1
    main(["fit", "--config", f"{run}/config.yaml", "--ckpt_path", f"{run}/checkpoints/last.ckpt"])
    resumed, whole = run.with_name("version_1"), trained / "logs" / "restaurants" / "version_0"
    found, expected = _ckpt(resumed, "last.ckpt"), _ckpt(whole, "last.ckpt")
    assert found["global_step"] == expected["global_step"] == 10
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name
    assert tiny.metrics_of(resumed)["epochs"] == tiny.metrics_of(whole)["epochs"]


def test_the_configuration_of_a_resumed_run_does_not_resume(trained, backbone, tmp_path):
    before = trained / "logs" / "restaurants" / "version_0"
    longer = {"trainer.max_epochs": 3}
    main(["fit", *tiny.options(backbone, tmp_path, **longer), "--ckpt_path", str(before / "checkpoints" / "last.ckpt")])
    resumed = tmp_path / "logs" / "restaurants" / "version_0"
    assert len(tiny.metrics_of(resumed)["epochs"]) == 3
    assert yaml.safe_load((resumed / "config.yaml").read_text())["ckpt_path"] is None
    main(["fit", "--config", f"{resumed}/config.yaml", "--trainer.max_epochs", "1"])
    assert [epoch["epoch"] for epoch in tiny.metrics_of(resumed.with_name("version_1"))["epochs"]] == [1]


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"rank_sampling.recipe": "sorted", "rank_sampling.polish.examples": 8},
        {
            "rank_sampling.polish.sort_at": 0.5,
            "rank_sampling.polish.examples": 8,
            "rank_sampling.ordered_decay.in_loss": 1e-2,
            "rank_sampling.ordered_decay.decoupled": 0.3,
            "rank_sampling.distillation.weight": 0.5,
        },
    ],
)
def test_accumulated_steps_resume_exactly_too(backbone, tmp_path, recipe):
    changes = {"trainer.accumulate_grad_batches": 2, "trainer.limit_train_batches": 6, **recipe}
    main(["fit", *tiny.options(backbone, tmp_path / "whole", **changes)])
    signal = {"trainer.callbacks+": "record.SignalAt", "trainer.callbacks.step": 4}
    with pytest.raises(SystemExit):
        main(["fit", *tiny.options(backbone, tmp_path / "parts", **changes, **signal)])
    run = tmp_path / "parts" / "logs" / "restaurants" / "version_0"
    main(["fit", "--config", f"{run}/config.yaml", "--ckpt_path", f"{run}/checkpoints/last.ckpt"])
    expected = _ckpt(tmp_path / "whole" / "logs" / "restaurants" / "version_0", "last.ckpt")["state_dict"]
    found = _ckpt(run.with_name("version_1"), "last.ckpt")["state_dict"]
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"rank_sampling.recipe": "sorted", "rank_sampling.polish.examples": 8},
        {"rank_sampling.recipe": "lora"},
        {"rank_sampling.objective": "summation"},
        {"rank_sampling.objective": "half_batch", "rank_sampling.ordered_decay.in_loss": 1e-3},
        {"rank_sampling.polish.sort_at": 0.5, "rank_sampling.polish.examples": 8, "rank_sampling.compensation": 2},
        {"rank_sampling.frozen": "true", "model.optimizer": "row_exact_adamw"},
        {"rank_sampling.distribution": "geometric", "rank_sampling.p": 0.3, "model.adapter.scaling": "alpha/max_rank"},
        {"rank_sampling.distribution": "weights", "rank_sampling.weights": "[1,2,3,4]"},
        {"model.adapter.min_rank": 2, "model.adapter.rank_step": 2, "model.adapter.init": "kaiming"},
        {"trainer.precision": "bf16-mixed"},
        {"data.task": "restaurants", "trainer.val_check_interval": 2},
    ],
)
def test_variants_train_and_keep_adapters_in_fp32(backbone, tmp_path, changes):
    main(["fit", *tiny.options(backbone, tmp_path, **{"trainer.max_epochs": 1, **changes})])
    run = tmp_path / "logs" / "restaurants" / "version_0"
    checkpoint = _ckpt(run, "last.ckpt")
    assert all(tensor.dtype == torch.float32 for tensor in checkpoint["state_dict"].values())
    moments = [v["exp_avg"] for v in checkpoint["optimizer_states"][0]["state"].values()]
    assert moments
    assert all(moment.dtype == torch.float32 for moment in moments)
    assert tiny.metrics_of(run)["best"]["metrics"]["accuracy"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_evaluation_with_the_status_of_an_interruption(trained, monkeypatch, number):
    before = {kept: signal.getsignal(kept) for kept in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hook = "on_validation_epoch_start"
    monkeypatch.setattr(SequenceClassificationModule, hook, lambda _: signal.raise_signal(number))
    monkeypatch.chdir(trained)
    try:
        with pytest.raises(SystemExit) as caught:
            main(["validate", "--trainer.enable_progress_bar", "false", "--data.eval_batch_size", "1"])
    finally:
        for kept, handler in before.items():
            signal.signal(kept, handler)
    assert caught.value.code == 130


def test_submission_writes_the_leaderboards_files_of_each_rank(backbone, tmp_path, capsys):
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    rows = [f"{i}\tA cat sat .\tA dog ran {i} .\t" for i in range(9)]
    labelled = "".join(f"{row}{('entailment', 'not_entailment')[i % 2]}\n" for i, row in enumerate(rows))
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_text(f"index\tsentence1\tsentence2\tlabel\n{labelled}")
    unlabelled = "".join(f"{row.rstrip(chr(9))}\n" for row in rows)
    (folder / "test.tsv").write_text(f"index\tsentence1\tsentence2\n{unlabelled}")
    changes = {"data.task": "rte", "data.data_dir": tmp_path / "glue", "trainer.max_epochs": 1}
    main(["fit", *tiny.options(backbone, tmp_path, **changes)])
    main(["predict", "--rank", "1,3", "--submission", "out"])
    main(["predict", "--rank", "2", "--submission", "single"])
    for path in ("out/rank_1/RTE.tsv", "out/rank_3/RTE.tsv", "single/RTE.tsv"):
        lines = (tmp_path / path).read_text().splitlines()
        assert lines[0] == "index\tprediction"
        assert [line.split("\t")[0] for line in lines[1:]] == [str(i) for i in range(9)]
        assert {line.split("\t")[1] for line in lines[1:]} <= {"entailment", "not_entailment"}
    with pytest.raises(SystemExit):
        main(["predict", "--rank", "2", "--submission", "single"])
    assert "single/RTE.tsv" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["test", "--rank", "2"])
    assert "labels of GLUE's test sets are not public" in capsys.readouterr().err
