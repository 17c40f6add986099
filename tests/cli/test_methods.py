"""Full fine-tuning and FLOP as whole commands."""

import json

import pytest
import tiny
import torch
import yaml

from dylora.cli import main

METHODS = {"full": "FullFineTuning", "flop": "FLOP"}


def _run(root):
    return root / "logs" / "restaurants" / "version_0"


def _ckpt(run, name="last.ckpt"):
    return torch.load(run / "checkpoints" / name, weights_only=True)


def _changes(method):
    gates = {"model.method.gate_learning_rate": 1.0} if method == "flop" else {}
    return {"model.method": METHODS[method], "model.learning_rate": 1e-3, **gates}


@pytest.fixture(scope="module", params=METHODS)
def method(request):
    return request.param


@pytest.fixture(scope="module")
def run(method, backbone, tmp_path_factory):
    root = tmp_path_factory.mktemp(method)
    main(["fit", *tiny.options(backbone, root, **_changes(method))])
    return _run(root)


def test_the_model_is_evaluated_at_max_rank_alone_and_files_name_the_method(run, method):
    content = tiny.metrics_of(run)
    assert content["method"] == method
    assert set(content["best"]["metrics"]["accuracy"]) == {"4"}
    assert content["best"]["chosen_rank"] == 4
    options = yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]
    assert options["method"]["class_path"].endswith(f".{METHODS[method]}")


def test_checkpoints_hold_all_weights_and_no_adapter(run, method):
    state = _ckpt(run)["state_dict"]
    assert not [name for name in state if "lora_" in name]
    assert any("word_embeddings" in name for name in state)
    assert any("classifier" in name for name in state)
    assert ("method.multipliers" in state) == (method == "flop")
    assert any(name.endswith("log_alpha") for name in state) == (method == "flop")


@pytest.mark.parametrize("which", ["best", "last"])
def test_validate_gives_the_figures_that_fit_logged(run, which, capsys):
    logged = tiny.metrics_of(run)[which]["metrics"]
    capsys.readouterr()
    main(["validate", "--ckpt_path", str(run / "checkpoints" / f"{which}.ckpt")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["validation", "rank", "4"]
    for metric in ("accuracy", "loss"):
        (row,) = [line for line in lines if line.startswith(f"{metric} ")]
        assert float(row.split()[1]) == pytest.approx(logged[metric]["4"], abs=5.1e-5)


def test_everything_moves_from_the_first_step_on(run, method, backbone):
    """After two epochs no matrix of the backbone is where it was."""
    from transformers import AutoModel

    before = dict(AutoModel.from_pretrained(backbone, add_pooling_layer=False).named_parameters())
    state = _ckpt(run)["state_dict"]
    shared = [name for name in before if f"model.roberta.{name}" in state]
    assert len(shared) == (len(before) if method == "full" else len(before) - 12)  # two layers' six weights factorised
    for name in shared:
        assert not torch.equal(before[name], state[f"model.roberta.{name}"]), name


def test_interrupted_and_resumed_ends_with_the_same_weights(run, method, backbone, tmp_path):
    signal = {"trainer.callbacks+": "record.SignalAt", "trainer.callbacks.step": 7}
    with pytest.raises(SystemExit):
        main(["fit", *tiny.options(backbone, tmp_path, **_changes(method), **signal)])
    stopped = _run(tmp_path)
    assert not (stopped / "flop.json").exists()
    arguments = ["--config", f"{stopped}/config.yaml", "--ckpt_path", f"{stopped}/checkpoints/last.ckpt"]
    main(["fit", *arguments])
    found, expected = _ckpt(stopped.with_name("version_1")), _ckpt(run)
    assert found["global_step"] == expected["global_step"] == 10
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name


def test_a_checkpoint_of_another_method_is_refused_in_one_line(run, method, refused):
    line = refused("validate", "--ckpt_path", run / "checkpoints" / "best.ckpt", "--model.method", "Adapter")
    assert (
        f"--ckpt_path: must be trained with method adapter, got method {method}; choose its class with --model.method"
        in line
    )


def test_there_is_nothing_to_cut(run, method, refused):
    line = refused("validate", "--ckpt_path", run / "checkpoints" / "best.ckpt", "--cut", "svd")
    assert f"--cut: must be left out for a model without adapters, got svd with method {method}" in line


def test_predictions_are_those_of_the_single_rank(run, tmp_path):
    main(["predict", "--ckpt_path", str(run / "checkpoints" / "best.ckpt"), "--output", str(tmp_path)])
    record = tiny.records_of(tmp_path / "test.jsonl")[0]
    assert set(record["ranks"]) == {"4"}


def test_flop_reports_ranks_and_counts(backbone, tmp_path, capsys):
    main(["fit", *tiny.options(backbone, tmp_path, **_changes("flop"))])
    out = capsys.readouterr().out
    report = json.loads((_run(tmp_path) / "flop.json").read_text())
    assert report["checkpoint"] == "checkpoints/last.ckpt"
    assert len(report["matrices"]) == 2 * 6
    state = _ckpt(_run(tmp_path))["state_dict"]
    total = 0
    for matrix in report["matrices"]:
        assert 0 <= matrix["rank"] <= matrix["components"] == len(state[f"model.{matrix['name']}.log_alpha"])
        assert matrix["parameters"] == matrix["rank"] * (matrix["rows"] + matrix["columns"])
        assert f"{matrix['rank']:>6}{matrix['components']:>6}{matrix['parameters']:>12,}  {matrix['name']}\n" in out
        total += matrix["parameters"]
    gated = ("log_alpha", ".up", ".down", "multipliers")
    rest = sum(tensor.numel() for name, tensor in state.items() if not name.endswith(gated))
    assert report["parameters"] == rest + total
    assert f"the model has {report['parameters']:,} parameters, {report['dense_parameters']:,} before" in out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model.method": "flop"},
            "or one of Adapter, FullFineTuning, FLOP, got flop; did you mean FLOP?",
        ),
        (
            {"model.method": "FullFineTuning", "model.optimizer": "row_exact_adamw"},
            "model.optimizer: must be adamw with method FullFineTuning, got row_exact_adamw",
        ),
        (
            {"model.method": "FLOP", "model.method.target": 0},
            "model.method.target: must be above 0 and at most 1, got 0",
        ),
        (
            {"model.method": "FLOP", "model.method.targt": 0},
            "FLOP has no such option; did you mean --model.method.target?",
        ),
        (
            {"model.method.target": 0.5},
            "Adapter has no such option; it is one of FLOP: choose the class with --model.method",
        ),
        ({"model.flop.target": 0.5}, "write --model.method FLOP --model.method.target 0.5"),
    ],
)
def test_bad_options(backbone, tmp_path, refused, changes, words):
    assert words in refused("fit", *tiny.options(backbone, tmp_path, **changes))
