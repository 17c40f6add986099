"""Every configuration file is parsed and instantiated, and holds the paper's values."""

import shlex
from pathlib import Path

import pytest
import tiny
import tiny_images
import yaml

from dylora.cli import main
from dylora.cli.lightning_cli import DyLoRACLI

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EXPERIMENTS = sorted(path for path in CONFIGS.glob("*.yaml") if path.stem != "digits")
TEXT = sorted(path for path in CONFIGS.glob("nlg/*.yaml"))
CLASSES = ("SequenceClassificationModule", "GLUEDataModule")
SETS = {"demo": "restaurants", "llama": "e2e", "chat": "prompts"}
GLUE = ("rte", "mnli", "sst2", "mrpc", "cola", "qnli", "qqp", "stsb")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return tiny.save_backbone(tmp_path_factory.mktemp("configs") / "backbone")


def _build(arguments, monkeypatch, tmp_path):
    """All objects of a fit command, without running it."""
    built = []
    monkeypatch.setattr(DyLoRACLI, "fit", lambda self, **_: built.append(self))
    main(["fit", *map(str, arguments), "--trainer.default_root_dir", str(tmp_path)])
    return built[0]


def test_there_is_one_for_the_demo_and_each_task():
    assert [path.stem for path in EXPERIMENTS] == sorted(("demo", "restaurants", *GLUE))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_it_builds_model_data_and_trainer(path, backbone, monkeypatch, tmp_path):
    changes = [] if path.stem in ("demo", "restaurants") else ["--model.backbone", backbone]
    cli = _build(["--config", path, *changes], monkeypatch, tmp_path)
    assert cli.model.task.name == cli.datamodule.task_spec.name == (path.stem if path.stem in GLUE else "restaurants")
    assert cli.trainer.max_epochs == yaml.safe_load(path.read_text())["trainer"]["max_epochs"]


def test_the_digits_build_a_model_of_images(monkeypatch, tmp_path):
    folder = tiny_images.write_folders(tmp_path / "images", 6)
    changes = ["--model.backbone", tiny_images.save_backbone(tmp_path / "vit"), "--data.data_dir", folder]
    cli = _build(["--config", CONFIGS / "digits.yaml", *changes], monkeypatch, tmp_path)
    assert (cli.model.task.name, list(cli.model.task.labels)) == ("digits", list(tiny_images.CLASSES))


@pytest.mark.parametrize("name", GLUE)
def test_glue_has_the_values_of_table_8(name):
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    assert (config["model"]["class_path"], config["data"]["class_path"]) == CLASSES
    assert model["backbone"] == "FacebookAI/roberta-base"
    assert model["adapter"] == {"max_rank": 8, "min_rank": 1, "alpha": 16, "scaling": "alpha/b"}
    assert model["learning_rate"] == 4e-4
    assert model["weight_decay"] == 0.1
    assert model["warmup_ratio"] == 0.06
    assert (data["train_batch_size"], data["max_length"]) == (32, 512)
    assert config["trainer"]["max_epochs"] == 30
    assert data["task"] == name
    assert config["rank_sampling"] == {"recipe": "dylora"}


@pytest.mark.parametrize("path", EXPERIMENTS + sorted(CONFIGS.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_the_first_line_is_the_command(path):
    words = shlex.split(path.read_text().splitlines()[0].removeprefix("#"))
    assert words[:4] == ["python", "-m", "dylora", "fit"]
    assert str(path.relative_to(CONFIGS.parent)) in words


@pytest.mark.parametrize("path", TEXT, ids=lambda path: path.stem)
def test_text_builds_model_data_and_trainer(path, monkeypatch, tmp_path):
    cli = _build(["--config", path, "--model.backbone", "builtin/gpt2"], monkeypatch, tmp_path)
    assert cli.model.task == cli.datamodule.task_name == SETS.get(path.stem, path.stem)


@pytest.mark.parametrize("name", ["e2e", "webnlg", "dart"])
def test_text_has_the_values_of_table_8(name):
    config = yaml.safe_load((CONFIGS / "nlg" / f"{name}.yaml").read_text())
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    assert model["backbone"] == "openai-community/gpt2-medium"
    adapter = {"max_rank": 4, "min_rank": 1, "alpha": 32, "scaling": "alpha/b", "dropout": 0.1}
    assert model["adapter"] == adapter
    assert (model["learning_rate"], model["weight_decay"], model["warmup_steps"]) == (2e-4, 0.01, 500)
    assert (model["label_smoothing"], model["decoding"]) == (0.1, name)
    assert (data["train_batch_size"], data["max_length"], data["max_context"]) == (8, 512, 448)
    assert config["trainer"]["max_epochs"] == 5
    assert config["seed_everything"] == 10


def test_the_ddp_overlay_is_taken_as_a_second_config(backbone, monkeypatch, tmp_path):
    arguments = ["--config", CONFIGS / "demo.yaml", "--config", CONFIGS / "trainer" / "ddp.yaml"]
    cli = _build([*arguments, "--trainer.accelerator", "cpu", "--trainer.devices", "2"], monkeypatch, tmp_path)
    assert (cli.trainer.world_size, type(cli.trainer.strategy).__name__) == (2, "DDPStrategy")


def test_the_overlay_of_a_shared_backbone_is_taken_as_a_second_config(backbone, monkeypatch, tmp_path):
    arguments = ["--config", CONFIGS / "demo.yaml", "--config", CONFIGS / "trainer" / "fsdp.yaml"]
    cli = _build([*arguments, "--trainer.accelerator", "cpu", "--trainer.devices", "2"], monkeypatch, tmp_path)
    assert (cli.trainer.world_size, type(cli.trainer.strategy).__name__) == (2, "ShardedBackbone")


def test_the_v100_overlay_is_parsed():
    overlay = yaml.safe_load((CONFIGS / "trainer" / "v100x8.yaml").read_text())
    assert overlay["trainer"] == {"accelerator": "gpu", "devices": 8, "strategy": "ddp", "precision": "16-mixed"}
    assert overlay["data"]["train_batch_size"] * overlay["trainer"]["devices"] == 32
