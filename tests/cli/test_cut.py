"""A LoRA trained at the largest rank, cut to all ranks in three ways."""

import json
import shutil

import pytest
import tiny
import yaml

from dylora.cli import main
from dylora.runs.outcomes_file import outcomes_of_step

NAMES = {"alpha/b": "alpha-b", "alpha/max_rank": "alpha-max_rank", "svd": "svd"}


@pytest.fixture(scope="module")
def lora(backbone, tmp_path_factory):
    """A finished run of plain LoRA."""
    root = tmp_path_factory.mktemp("lora")
    changes = {"rank_sampling.distribution": "max_rank", "model.learning_rate": 0.05}
    changes["model.adapter.scaling"] = "alpha/b"
    main(["fit", *tiny.options(backbone, root, **changes)])
    return root / "logs" / "restaurants" / "version_0"


def _validate(run, capsys, *arguments):
    capsys.readouterr()
    main(["validate", "--config", str(run / "config.yaml"), *arguments])
    return capsys.readouterr().out


def test_every_cut_is_kept_with_its_checkpoint_and_agrees_at_max_rank(lora, capsys):
    best = tiny.metrics_of(lora)["best"]
    records = {}
    for kind, name in NAMES.items():
        out = _validate(lora, capsys, "--cut", kind)
        path = lora / "cuts" / f"{name}.json"
        assert f"Cut: {kind}\n" in out
        assert out.endswith(f"Written: {path}\n")
        records[kind] = json.loads(path.read_text())
        assert f"{records[kind]['metrics']['loss']['1']:.4f}" in out
    files = {f"{name}.{ending}" for name in NAMES.values() for ending in ("json", "outcomes.npz")}
    assert {path.name for path in (lora / "cuts").iterdir()} == files
    for kind, record in records.items():
        assert (record["cut"], record["checkpoint"], record["task"], record["metric"]) == (
            kind,
            "best.ckpt",
            "restaurants",
            "accuracy",
        )
        assert set(record["metrics"]["accuracy"]) == {"1", "2", "3", "4"}
        assert record["metrics"]["loss"]["4"] == pytest.approx(best["metrics"]["loss"]["4"], rel=1e-4)
        assert record["mean"] == pytest.approx(sum(record["metrics"]["accuracy"].values()) / 4)
    assert best.keys() - {"checkpoint", "epoch", "step", "score", "intervals"} <= records["svd"].keys()
    # The run was trained and evaluated with alpha/b; the others give lower ranks another scale.
    assert records["alpha/b"]["metrics"] == best["metrics"]
    assert len({round(record["metrics"]["loss"]["1"], 6) for record in records.values()}) == 3
    assert "cut" not in yaml.safe_load((lora / "config.yaml").read_text())


def test_the_outcomes_of_a_cut_lie_beside_its_figures_and_give_them_again(lora, capsys):
    _validate(lora, capsys, "--cut", "svd")
    record = json.loads((lora / "cuts" / "svd.json").read_text())
    kept = outcomes_of_step(lora, record["step"], "svd")
    right = (kept.values == kept.expected).mean(1)
    assert dict(zip(map(str, kept.ranks), right, strict=True)) == pytest.approx(record["metrics"]["accuracy"])
    assert outcomes_of_step(lora, record["step"] + 1, "svd") is None


def test_the_two_sided_cut_takes_training_examples_and_agrees_at_max_rank(lora, capsys):
    out = _validate(lora, capsys, "--cut", "two-sided", "--cut_examples", "100")
    assert "Cut two-sided: statistics over 100 training examples in " in out
    record = json.loads((lora / "cuts" / "two-sided.json").read_text())
    best = tiny.metrics_of(lora)["best"]["metrics"]["loss"]
    assert record["metrics"]["loss"]["4"] == pytest.approx(best["4"], rel=1e-4)
    _validate(lora, capsys, "--cut", "svd")
    svd = json.loads((lora / "cuts" / "svd.json").read_text())["metrics"]["loss"]
    assert abs(record["metrics"]["loss"]["1"] - svd["1"]) > 1e-6
    (lora / "cuts" / "two-sided.json").unlink()
    (lora / "cuts" / "two-sided.outcomes.npz").unlink()


def test_a_cut_without_examples_is_refused(lora, refused):
    line = refused("validate", "--config", lora / "config.yaml", "--cut", "two-sided", "--cut_examples", "0")
    assert "--cut_examples: must be 1 or more, got 0" in line


def test_a_cut_at_some_ranks_is_shown_and_leaves_the_kept_curve_alone(lora, capsys):
    _validate(lora, capsys, "--cut", "svd")
    before = (lora / "cuts" / "svd.json").read_bytes()
    out = _validate(lora, capsys, "--cut", "svd", "--rank", "1,2", "--trainer.limit_val_batches", "1")
    assert "Written" not in out
    assert "rank 1" in out
    assert (lora / "cuts" / "svd.json").read_bytes() == before


def test_a_part_of_the_split_is_shown_and_leaves_the_kept_curve_alone(lora, capsys):
    _validate(lora, capsys, "--cut", "svd")
    before = (lora / "cuts" / "svd.json").read_bytes()
    out = _validate(lora, capsys, "--cut", "svd", "--trainer.limit_val_batches", "1")
    assert out.endswith("Not kept: the run was validated with --trainer.limit_val_batches 3, this is 1\n")
    assert (lora / "cuts" / "svd.json").read_bytes() == before


def test_a_sweeps_figures_are_written_for_its_checkpoint_and_once(lora, capsys, tmp_path):
    run = tmp_path / "seed_10" / "restaurants" / "version_0"
    shutil.copytree(lora, run)
    shutil.rmtree(run / "cuts", ignore_errors=True)
    (tmp_path / "seed_10" / "run.json").write_text("{}")
    best, last = (f"{run}/checkpoints/{name}.ckpt" for name in ("best", "last"))
    out = _validate(run, capsys, "--cut", "svd", "--ckpt_path", best)
    assert out.endswith("Not kept: the run belongs to a sweep, which goes by last.ckpt, and this is best.ckpt\n")
    path = run / "cuts" / "svd.json"
    assert not path.exists()
    out = _validate(run, capsys, "--cut", "svd", "--ckpt_path", last)
    assert out.endswith(f"Written: {path}\n")
    before = path.read_bytes()
    out = _validate(run, capsys, "--cut", "svd", "--ckpt_path", last, "--data.max_length", "8")
    assert out.endswith(f"Not kept: {path} belongs to a sweep; delete it to have it made anew\n")
    assert path.read_bytes() == before


def test_the_test_split_can_be_cut_too(lora, capsys):
    losses = []
    for cut in ([], ["--cut", "alpha/max_rank"]):
        main(["test", "--config", str(lora / "config.yaml"), "--trainer.limit_test_batches", "2", *cut])
        row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("loss "))
        losses.append(list(map(float, row.split()[1:5])))
    assert losses[0][3] == losses[1][3]
    assert losses[0][0] != losses[1][0]


def test_a_cut_is_tested_at_the_rank_that_its_own_validation_chose(lora, capsys):
    _validate(lora, capsys, "--cut", "svd")
    values = json.loads((lora / "cuts" / "svd.json").read_text())
    main(["test", "--config", str(lora / "config.yaml"), "--trainer.limit_test_batches", "2", "--cut", "svd"])
    chosen = values["chosen"]["rank"]
    there = values["metrics"]["accuracy"][str(chosen)]
    assert f"Rank chosen on validation: {chosen} (accuracy {there:.4f} there)" in capsys.readouterr().out


def test_an_unknown_cut_lists_the_cuts(lora, refused):
    line = refused("validate", "--config", lora / "config.yaml", "--cut", "half")
    assert "--cut: must be one of alpha/b, alpha/max_rank, svd, two-sided, learned, got 'half'" in line
