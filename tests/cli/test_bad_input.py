"""Each mistake is one line on stderr and status 2, and nothing is written."""

import shutil
from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest
import tiny

from dylora.adapters.config import DyLoRAConfig
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.main import _ADAPTER, _RANK_SAMPLING
from dylora.modules.classification import SequenceClassificationModule

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RUN = Path("logs") / "restaurants" / "version_0"


def test_options_are_named_in_full_wherever_they_are_checked():
    assert set(_ADAPTER) == {field.name for field in fields(DyLoRAConfig) if field.init}
    assert set(_RANK_SAMPLING) == set(signature(RankSamplingCallback).parameters) - {"seed"}


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the finished run in the current folder."""
    shutil.copytree(trained / "logs", tmp_path / "logs")
    return tmp_path / RUN


@pytest.fixture
def fit(backbone, tmp_path, refused):
    """A fit that is refused for the changes; nothing may be left of it but the token cache."""

    def attempt(**changes):
        line = refused("fit", *tiny.options(backbone, tmp_path, **changes))
        assert not list((tmp_path / "logs").rglob("*"))
        return line

    return attempt


@pytest.mark.parametrize("rank", ["0", "5", "abc", "4-2", "1-5"])
def test_ranks_outside_the_adapters(run, refused, rank):
    line = refused("validate", "--rank", rank)
    assert "--rank: must be" in line
    assert "1 to 4" in line or "write 2-4" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model.adapter.min_rank": 5},
            "--model.adapter.min_rank: must be at most max_rank, got min_rank 5 > max_rank 4",
        ),
        ({"model.adapter.max_rank": 0}, "--model.adapter.max_rank: must be at least 1, got 0"),
        ({"model.adapter.max_rank": "abc"}, "abc"),
        ({"model.adapter.dropout": 1.0}, "--model.adapter.dropout: must be from 0 up to but without 1, got 1.0"),
        ({"model.adapter.scaling": "alpha"}, "scaling"),
        (
            {"rank_sampling.distribution": "geometric", "rank_sampling.p": 1.5},
            "--rank_sampling.p: must be inside (0, 1), got 1.5",
        ),
        ({"rank_sampling.distribution": "zipf"}, "zipf"),
        ({"rank_sampling.distribution": "weights", "rank_sampling.weights": "[1,-1,1,1]"}, "got -1"),
        ({"rank_sampling.distribution": "weights", "rank_sampling.weights": "[1,1]"}, "must be 4 numbers"),
        ({"rank_sampling.polish.sort_at": 1.5}, "rank_sampling.polish.sort_at: must be inside (0, 1), got 1.5"),
        (
            {"rank_sampling.objective": "mixed", "model.optimizer": "row_exact_adamw"},
            "model.optimizer: must be adamw, got row_exact_adamw with a rank for each row (mixed)",
        ),
        (
            {"rank_sampling.distillation.weight": 0.5, "model.method": "FullFineTuning"},
            "rank_sampling.distillation: must be left out for a model without adapters",
        ),
        ({"model.adapter.target_modules": "[nothing]"}, "got 'nothing', which matches nothing; choose from dense, key"),
        ({"model.adapter.target_modules": "[dropout]"}, "which matches only modules that are not linear (Dropout)"),
        ({"data.task": "wnli"}, "data.task: must be one of rte"),
        ({"data.train_batch_size": 0}, "data.train_batch_size: must be at least 1, got 0"),
        ({"model.bakbone": "x"}, "bakbone"),
        ({"trainer.precision": "16-true"}, "got 16-true; set --trainer.precision 16-mixed"),
        ({"data.backbone": "builtin/gpt2"}, "--data.backbone: must be that of model.backbone ("),
        (
            {"model.task": "rte"},
            "--model.task: must be that of the data (restaurants), got rte; leave --model.task out",
        ),
        ({"data.seed": 3}, "--data.seed: must be that of seed_everything (10), got 3; leave --data.seed out"),
        ({"trainer.logger": "CSVLogger"}, "--trainer.logger: CSVLogger needs --trainer.logger.save_dir"),
        ({"model.adapter.max_rnk": 1}, "has no such option; did you mean --model.adapter.max_rank?"),
        ({"data.form": "official"}, "it is one of E2EDataModule: choose the class with --data"),
        ({"trainer.max_epochs": "few"}, "--trainer.max_epochs: must be int or null, got few"),
        ({"trainer.accelerator": "gpu"}, "--trainer: No supported gpu backend found!"),
    ],
)
def test_options_of_fit(fit, changes, words):
    assert words in fit(**changes)


def test_a_backbone_without_weights(fit, backbone, tmp_path):
    shutil.copytree(backbone, tmp_path / "empty", ignore=shutil.ignore_patterns("*.safetensors"))
    line = fit(**{"model.backbone": tmp_path / "empty"})
    assert "model.backbone: must be a folder with config.json and weights (model.safetensors)" in line


def test_a_missing_tsv(fit, tmp_path):
    (tmp_path / "glue" / "RTE").mkdir(parents=True)
    assert "train.tsv" in fit(**{"data.task": "rte", "data.data_dir": tmp_path / "glue"})


def test_a_truncated_tsv_names_file_line_and_columns(fit, tmp_path):
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    (folder / "train.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\ta\n")
    (folder / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n")
    line = fit(**{"data.task": "rte", "data.data_dir": tmp_path / "glue"})
    assert "train.tsv" in line
    assert "line 3" in line
    assert "got 2 columns" in line


def test_an_output_folder_that_cannot_be_written(backbone, tmp_path, refused):
    (tmp_path / "file").write_text("")
    options = tiny.options(backbone, tmp_path, **{"trainer.default_root_dir": tmp_path / "file"})
    assert "--trainer.default_root_dir: must be a folder that can be written" in refused("fit", *options)


def test_no_run_under_logs(refused):
    assert "which has none; train first" in refused("validate")


def test_a_configuration_of_no_run_needs_a_checkpoint(refused):
    assert "--ckpt_path: must be given" in refused("validate", "--config", CONFIGS / "demo.yaml")


def test_a_configuration_that_does_not_exist(refused):
    assert "nowhere.yaml" in refused("fit", "--config", "nowhere.yaml")


def test_no_command_or_an_unknown_one(refused):
    assert "train" in refused("train")
    assert "fit" in refused()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--model.adapter.max_rank", "3"], "trained with max_rank 3, got max_rank 4"),
        (["--model.adapter.alpha", "8"], "trained with alpha 8.0, got alpha 16.0"),
        (["--data.task", "rte", "--data.data_dir", "glue"], "trained on task 'rte', got 'restaurants'"),
    ],
)
def test_a_checkpoint_of_another_configuration(run, refused, changes, words, tmp_path):
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    (folder / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n")
    assert words in refused("validate", *changes)


def test_a_checkpoint_of_another_backbone_names_both(run, refused, backbone, tmp_path):
    other = tiny.save_backbone(tmp_path / "other", seed=1)
    line = refused("validate", "--model.backbone", other)
    assert f"'{other}'" in line
    assert f"'{backbone}'" in line


def test_a_truncated_checkpoint(run, refused):
    path = run / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:2000])
    assert "corrupt, truncated or of another kind" in refused("validate")


def test_a_submission_outside_glue_is_refused_before_anything_is_predicted(run, refused, monkeypatch):
    monkeypatch.setattr(SequenceClassificationModule, "predict_step", lambda *_: pytest.fail("it predicts"))
    line = refused("predict", "--rank", "1", "--submission", "out")
    assert "--submission: must be left out for a task that is not one of GLUE's" in line
    assert not (run / "predictions").exists()


def test_an_unknown_option_is_refused_with_the_nearest_one(refused):
    line = refused("fit", "--model.learning_rat=1")  # no abbreviation either
    assert (
        "--model.learning_rat: SequenceClassificationModule has no such option; did you mean --model.learning_r" in line
    )
    assert "unrecognized arguments: --trainer.maxepochs=1; did you mean --trainer.max_epochs?" in refused(
        "fit", "--trainer.maxepochs=1"
    )
    assert "did you mean --table?" in refused("report", "--tabel", "2")
    assert "--help lists the options" in refused("fit", "--qqqqqq", "1")


@pytest.mark.parametrize("command", [["fit", "--config", "rtt"], ["sweep", "tabel2"]])
def test_a_mistyped_name_of_a_configuration_or_an_experiment(command, refused):
    line = refused(*command)
    assert "did you mean" in line
