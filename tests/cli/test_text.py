"""Text generation as whole commands, on the embedded set."""

import pytest
import tiny

import dylora
from dylora.cli import main


@pytest.fixture
def options(tmp_path):
    values = {
        "model": "GenerationModule",
        "data": "RestaurantTextDataModule",
        "model.decoding": "greedy",
        "model.max_new_tokens": 6,
        "data.train_batch_size": 4,
        "data.eval_batch_size": 4,
        "data.generate_examples": 4,
        "data.cache_dir": tmp_path / "cache",
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": 2,
        "trainer.limit_val_batches": 1,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.default_root_dir": tmp_path / "logs",
    }
    return [f"--{key}={value}" for key, value in values.items()]


def test_fit_then_test_leaves_the_texts_of_each_rank(options, tmp_path, capsys):
    main(["fit", *options])
    run = tmp_path / "logs" / "restaurants_text" / "version_0"
    content = tiny.metrics_of(run)
    assert content["metric"] == "perplexity"
    assert {"perplexity", "token_accuracy", "slot_accuracy", "bleu", "rouge_l"} <= set(content["last"]["metrics"])
    capsys.readouterr()
    main(["test", "--config", str(run / "config.yaml"), "--rank", "1,4", "--trainer.limit_test_batches", "1"])
    assert "bleu" in capsys.readouterr().out
    for rank in (1, 4):
        records = tiny.records_of(run / "predictions" / f"rank_{rank}.jsonl")
        assert [record["index"] for record in records] == sorted(record["index"] for record in records)
        assert {"input", "references", "output", "score"} <= set(records[0])
        answers = dylora.load(run, rank)([record["input"] for record in records])
        assert [answer["text"] for answer in answers] == [record["output"] for record in records]


def test_a_run_that_goes_by_bleu_keeps_the_texts_outcomes_and_a_rank_is_chosen(options, tmp_path, capsys):
    main(["fit", *options, "--model.monitor", "bleu"])
    run = tmp_path / "logs" / "restaurants_text" / "version_0"
    content = tiny.metrics_of(run)
    assert content["metric"] == "bleu"
    found = {rank: each["value"] for rank, each in content["chosen"]["ranks"].items()}
    assert found == pytest.approx(content["best"]["metrics"]["bleu"], rel=1e-5)
    capsys.readouterr()
    main(["choose", str(run)])
    assert ": 4 validation examples" in capsys.readouterr().out


def test_what_has_outcomes_is_said_where_the_metric_has_none(options, tmp_path, refused):
    main(["fit", *options, "--model.monitor", "cider"])
    line = refused("choose", tmp_path / "logs" / "restaurants_text" / "version_0")
    assert "RUN: must be a run that went by a metric with outcomes (accuracy, f1, " in line
    assert "bleu_multi, rouge_l, exact_match, slot_accuracy), got " in line
    assert "which went by cider" in line


def test_a_score_that_nothing_is_written_for_cannot_be_monitored(options, refused):
    line = refused("fit", *options, "--model.monitor", "bleu", "--data.generate_examples", "0")
    assert "model.monitor: must be one of the metrics of this evaluation (perplexity, token_accuracy, loss)" in line
    line = refused("fit", *options, "--model.monitor", "accuracy")
    assert "model.monitor: must be a metric of the data (perplexity, token_accuracy, slot_accuracy, " in line


@pytest.mark.parametrize(("name", "data"), [("e2e", "E2EDataModule"), ("dart", "DARTDataModule"), ("xsum", "E2EData")])
@pytest.mark.parametrize("form", ["--set {}", "--set={}"])
def test_the_former_set_says_what_to_write(refused, name, data, form):
    line = refused("fit", *form.format(name).split())
    assert f"--set: must be left out of fit: model and data are chosen by their classes, got {name}; write: " in line
    assert f"python -m dylora fit --model GenerationModule --data {data}" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "GenerationModule"], "--data: must be a data module of texts"),
        (
            ["--data", "E2EDataModule"],
            "--data: must be a data module of sentences for SequenceClassificationModule (GLUEDataModule, Text",
        ),
        (["--model.decoding", "greedy"], "it is one of GenerationModule: choose the class with --model"),
    ],
)
def test_model_and_data_that_do_not_fit(refused, arguments, words, tmp_path):
    limits = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", tmp_path / "logs"]
    assert words in refused("fit", *arguments, *limits)


def test_there_is_no_submission_of_texts(options, tmp_path, refused, capsys):
    main(["fit", *options])
    capsys.readouterr()
    line = refused("predict", "--config", tmp_path / "logs/restaurants_text/version_0/config.yaml", "--submission", "x")
    assert "--submission: must be left out for data that is not one of GLUE's tasks, got x" in line
