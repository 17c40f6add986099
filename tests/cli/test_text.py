"""Text generation as whole commands, on the embedded set."""

import pytest
import tiny

from dylora.cli import main


@pytest.fixture
def options(tmp_path):
    values = {
        "set": "restaurants",
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
    assert {"perplexity", "token_accuracy", "bleu", "rouge_l"} <= set(content["last"]["metrics"])
    capsys.readouterr()
    main(["test", "--config", str(run / "config.yaml"), "--rank", "1,4", "--trainer.limit_test_batches", "1"])
    assert "bleu" in capsys.readouterr().out
    for rank in (1, 4):
        records = tiny.records_of(run / "predictions" / f"rank_{rank}.jsonl")
        assert [record["index"] for record in records] == sorted(record["index"] for record in records)
        assert {"input", "references", "output", "score"} <= set(records[0])


def test_an_unknown_set_lists_the_sets(refused):
    assert "--set: must be one of e2e, webnlg, dart, restaurants, got 'xsum'" in refused("fit", "--set", "xsum")


def test_a_configuration_names_the_set_too(refused, tmp_path):
    (tmp_path / "text.yaml").write_text("set: xsum\n")
    assert "got 'xsum'" in refused("fit", "--config", tmp_path / "text.yaml")
