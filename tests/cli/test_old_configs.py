"""Configurations of runs from before model, data and method were chosen by their classes."""

import pytest
import tiny
import yaml

from dylora.cli import main
from dylora.cli.old_configs import renewed


def _printed(path, capsys, *more):
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(path), *more, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_one_of_today_is_left_as_it_is():
    content = "model: {class_path: M, init_args: {flop: 1}} # mine\n"
    assert renewed(content) == content
    assert renewed("model: [") == "model: ["


def test_a_flat_one_means_the_classes_of_sentence_tasks(tmp_path, capsys):
    (tmp_path / "flat.yaml").write_text(
        "model: {backbone: DIR, adapter: {max_rank: 3}, method: adapter, flop: {target: 0.8}}\ndata: {task: rte}\n"
    )
    config = _printed(tmp_path / "flat.yaml", capsys, "--model.adapter.alpha=7")
    assert config["model"]["class_path"].endswith(".SequenceClassificationModule")
    assert config["data"]["class_path"].endswith(".GLUEDataModule")
    model = config["model"]["init_args"]
    assert (model["backbone"], model["adapter"]["max_rank"], model["adapter"]["alpha"]) == ("DIR", 3, 7)
    assert model["method"]["class_path"].endswith(".Adapter")
    assert config["data"]["init_args"]["task"] == "rte"


def test_a_method_by_a_word_is_its_class_with_its_options(tmp_path, capsys):
    (tmp_path / "flop.yaml").write_text("model: {method: flop, flop: {target: 0.5}}\n")
    method = _printed(tmp_path / "flop.yaml", capsys)["model"]["init_args"]["method"]
    assert method["class_path"].endswith(".FLOP")
    assert method["init_args"]["target"] == 0.5
    (tmp_path / "full.yaml").write_text("model: {method: full, flop: {target: 0.5}}\n")
    method = _printed(tmp_path / "full.yaml", capsys)["model"]["init_args"]["method"]
    assert method["class_path"].endswith(".FullFineTuning")


@pytest.mark.parametrize("name", ["e2e", "webnlg", "dart", "restaurants"])
def test_a_set_is_the_classes_of_text(tmp_path, capsys, name):
    (tmp_path / "text.yaml").write_text(f"set: {name}\nmodel: {{learning_rate: 1.0}}\ndata: {{max_context: 9}}\n")
    config = _printed(tmp_path / "text.yaml", capsys)
    assert config["model"]["class_path"].endswith(".GenerationModule")
    assert config["model"]["init_args"]["learning_rate"] == 1.0
    assert config["model"]["init_args"]["adapter"]["alpha"] == 32  # the class's own default
    assert name.removesuffix("s") in config["data"]["class_path"].lower()
    assert config["data"]["init_args"]["max_context"] == 9


def test_a_run_with_an_old_configuration_is_evaluated(trained, tmp_path, capsys):
    run = trained / "logs" / "restaurants" / "version_0"
    config = yaml.safe_load((run / "config.yaml").read_text())
    flat = {**config, "model": {**config["model"]["init_args"], "method": "adapter", "flop": {"target": 0.8}}}
    flat["data"] = config["data"]["init_args"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(flat))
    checkpoint = run / "checkpoints" / "best.ckpt"
    main(["validate", "--config", str(tmp_path / "config.yaml"), "--ckpt_path", str(checkpoint), "--rank", "2"])
    best = tiny.metrics_of(run)["best"]["metrics"]["accuracy"]["2"]
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("accuracy "))
    assert float(row.split()[1]) == pytest.approx(best, abs=5.1e-5)


def test_the_whole_rank_sampling_from_before_recipes_is_the_papers():
    """A run that is resumed trains on as it began; a file of a user, without the seed, takes the default."""
    whole = yaml.safe_load(renewed("rank_sampling: {distribution: uniform, p: 0.15, seed: 10}"))
    assert whole["rank_sampling"] == {"recipe": "dylora", "distribution": "uniform", "p": 0.15, "seed": 10}
    for content in (
        "rank_sampling: {distribution: uniform}",
        "rank_sampling: {recipe: lora, distribution: null, seed: 1}",
    ):
        assert renewed(content) == content
