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
        ({"rank_sampling.polish.sort_at": 1.5}, "rank_sampling.polish.sort_at: must be above 0 and at most 1, got 1.5"),
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
        ({"model.adapter.alpha": 0}, "--model.adapter.alpha: must be above 0 and at most 1e+06, got 0.0"),
        ({"model.adapter.alpha": ".nan"}, "--model.adapter.alpha: must be above 0 and at most 1e+06, got nan"),
        ({"model.adapter.alpha": ".inf"}, "--model.adapter.alpha: must be above 0 and at most 1e+06, got inf"),
        ({"model.adapter.alpha": "2e6"}, "--model.adapter.alpha: must be above 0 and at most 1e+06, got 2000000.0"),
        ({"model.learning_rate": 1e30}, "--model.learning_rate: must be above 0 and at most 100, got 1e+30"),
        ({"model.learning_rate": ".inf"}, "--model.learning_rate: must be above 0 and at most 100, got inf"),
        ({"model.learning_rate": "\uff11"}, "--model.learning_rate: must be numbers in the digits 0 to 9"),
        ({"model.weight_decay": ".inf"}, "--model.weight_decay: must be from 0 to 1000, got inf"),
        ({"model.tolerance": ".inf"}, "--model.tolerance: must be from 0 to 1, got inf"),
        ({"model.tolerance": ".nan"}, "--model.tolerance: must be from 0 to 1, got nan"),
        ({"model.warmup_ratio": 2}, "--model.warmup_ratio: must be from 0 to 1, got 2.0"),
        ({"model.warmup_steps": -1}, "--model.warmup_steps: must be 0 or more, got -1"),
        ({"model.adapter.max_rank": 10**9}, "--model.adapter.max_rank: must be at most 10000, got 1000000000"),
        ({"model.adapter.max_rank": "9" * 5000}, "--model.adapter.max_rank: must be numbers of at most 300 digits"),
        ({"model.adapter.max_rank": "\uff18"}, "--model.adapter.max_rank: must be numbers in the digits 0 to 9"),
        ({"model.adapter.target_modules": "''"}, "--model.adapter.target_modules: must be Sequence or null, got ''"),
        ({"model.adapter": 5}, "--model.adapter: must be options with their values, or a file with some, got 5"),
        ({"rank_sampling.ordered_decay": ".inf"}, "--rank_sampling.ordered_decay: must be options with their values"),
        (
            {"model.backbone": "builtin/bogus"},
            "--model.backbone: must be builtin/roberta or builtin/gpt2, got 'builtin",
        ),
        ({"model.backbone": "a" * 5000}, "--model.backbone: must be a folder or the name of a backbone, got 'aaa"),
        ({"model.backbone": "no\udc80"}, "--model.backbone: must be text in UTF-8, got 'no\\udc80', with bytes that"),
        ({"data": "null"}, "--data: must be a data module, got null; leave it out"),
        ({"ckpt_path": ""}, "--ckpt_path: must be a file, got an empty name"),
        ({"seed_everything": -1}, "--seed_everything: must be a whole number from 0 to 4294967295, got -1"),
        ({"seed_everything": 2**32}, "--seed_everything: must be a whole number from 0 to 4294967295, got 4294967296"),
        ({"trainer.devices": "abc"}, "--trainer.devices: must be what Lightning accepts, got abc"),
        ({"trainer.devices": 999}, "--trainer.devices: must be at most "),
        ({"trainer.accelerator": "bogus"}, "--trainer.accelerator: must be what Lightning accepts, got bogus"),
        (
            {"trainer.accelerator": "tpu"},
            "--trainer.accelerator: must be one that is installed here, got accel",
        ),
        ({"trainer.strategy": "bogus"}, "--trainer.strategy: must be what Lightning accepts, got bogus"),
        ({"trainer.num_nodes": 0}, "--trainer.num_nodes: must be at least 1, got 0"),
        ({"trainer.max_time": "abc"}, "--trainer"),
        ({"trainer.accumulate_grad_batches": 0}, "--trainer.accumulate_grad_batches: must be at least 1, got 0"),
        ({"trainer.val_check_interval": 0}, "--trainer.val_check_interval: must be above 0 for a training, got 0"),
        (
            {"trainer.val_check_interval": 1000},
            "--trainer.val_check_interval: must be what Lightning accepts, got 10",
        ),
        ({"trainer.check_val_every_n_epoch": 0}, "--trainer.check_val_every_n_epoch: must be at least 1, got 0"),
        ({"trainer.gradient_clip_val": ".nan"}, "--trainer.gradient_clip_val: must be 0 or more, and finite, got nan"),
        ({"trainer.default_root_dir": "null"}, "--trainer.default_root_dir: must be a folder, got null"),
        ({"trainer.max_epochs": 0}, "--trainer.max_epochs: must be above 0 for a training, got 0"),
        ({"trainer.limit_train_batches": 0}, "--trainer.limit_train_batches: must be above 0 for a training, got 0"),
        ({"trainer.max_epochs": "few"}, "--trainer.max_epochs: must be int or null, got few"),
        (
            {"trainer.accelerator": "gpu"},
            "--trainer.accelerator: must be what Lightning accepts, got gpu; No",
        ),
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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"model: \xff", "c.yaml: must be a text in UTF-8, got other bytes at place 7"),
        (b"a: &a [*a]", "c.yaml: must be a document with an end"),
        (b"[" * 3000, "c.yaml: must be nested at most 50 levels deep"),
        (
            b"trainer:\n  max_epochs: 1\n  max_epochs: 2",
            "c.yaml: must be without repeated keys, got 'max_ep",
        ),
        (b"", "c.yaml: must be options with their values, got nothing"),
        (b"[1, 2]", "c.yaml: must be options with their values, got a list"),
        (b"1: 2", "c.yaml: must be options with their values, got the key 1"),
        (
            b"trainer: {max_epoch: 1}",
            "trainer.max_epoch: must be one of the keys of a configuration of fit, got an unk",
        ),
        (b"trainr: {max_epochs: 1}", "got an unknown one; did you mean trainer.max_epochs?"),
        (b"model: {adapter: {max_rnk: 1}}", "has no such option; did you mean --model.adapter.max_rank?"),
        (b"model: {adapter: 5}", "--model.adapter: must be options with their values, got 5"),
        (b"trainer: 5", "--trainer: must be options with their values, got 5"),
        (b"model: null", "--model: must be options with their values, got null"),
        (b"set: [1]", "set: must be one of the keys"),
        (b"set: e2e\nmodel: 5", "model: must be options with their values, got 5"),
        (b"model: !!python/object/apply:os.system [ls]", "c.yaml: must be YAML of plain values, got line 1, column 8"),
    ],
)
def test_configurations(refused, tmp_path, content, words):
    (tmp_path / "c.yaml").write_bytes(content)
    assert words in refused("fit", "--config", "c.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml"]


def test_a_file_that_a_configuration_names_is_read_within_the_same_limits(refused, tmp_path):
    (tmp_path / "inner.yaml").write_text("max_epochs: 1\nmax_epochs: 2")
    (tmp_path / "c.yaml").write_text("trainer: inner.yaml")
    assert "must be without repeated keys" in refused("fit", "--config", "c.yaml")


@pytest.mark.parametrize("command", ["validate", "predict"])
def test_an_adapter_that_nothing_trained_is_not_evaluated(run, refused, command):
    line = refused(command, "--config", run / "config.yaml", "--ckpt_path", "null")
    assert f"--ckpt_path: must be a trained checkpoint for {command}, got null, an untrained adapter" in line


@pytest.mark.parametrize("rank", ["9" * 5000, "\u0663", "", "1,,2"])
def test_nothing_is_printed_before_the_line(run, refused, capsys, rank):
    assert "--rank: must be" in refused("validate", "--rank", rank)
    assert capsys.readouterr().out == ""


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
    line = refused("fit", "--trainer.maxepochs=1")
    assert "--trainer.maxepochs: must be an option of the command, got an unknown one; did you mean --trainer.m" in line
    assert "did you mean --table?" in refused("report", "--tabel", "2")
    assert "--help lists the options" in refused("fit", "--qqqqqq", "1")


@pytest.mark.parametrize("command", [["fit", "--config", "rtt"], ["sweep", "tabel2"]])
def test_a_mistyped_name_of_a_configuration_or_an_experiment(command, refused):
    line = refused(*command)
    assert "did you mean" in line
