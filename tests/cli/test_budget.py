"""Ranks per module under a budget, beside the uniform cut, from a run."""

import json

import pytest
import tiny
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from dylora.cli import main


@pytest.fixture(scope="module")
def run(backbone, tmp_path_factory):
    root = tmp_path_factory.mktemp("budget")
    changes = {"rank_sampling.distribution": "max_rank", "model.learning_rate": 0.05}
    main(["fit", *tiny.options(backbone, root, **changes)])
    return root / "logs" / "restaurants" / "version_0"


@pytest.mark.parametrize("kind", ["svd", "two-sided"])
def test_a_budget_is_shared_out_and_evaluated_beside_the_uniform_cut(run, kind, capsys):
    config = ["--config", str(run / "config.yaml")]
    capsys.readouterr()
    main(["budget", *config, "--mean_rank", "2", "--cut", kind, "--cut_examples", "40"])
    out = capsys.readouterr().out
    path = run / "budgets" / f"{kind}-mean_rank-2.json"
    assert out.endswith(f"Written: {path}\n")
    written = json.loads(path.read_text())
    ranks = written["ranks"]
    assert (written["cut"], written["checkpoint"]) == (kind, "best.ckpt")
    assert f"accuracy {written['metrics']['accuracy']:.4f}" in out
    assert sum(ranks.values()) == 2 * len(ranks) == 8
    assert min(ranks.values()) >= 1
    assert all(name.endswith(".factors") for name in ranks)
    assert f"Budget 2, cut {kind}: 8 ranks in 4 modules" in out
    assert ("statistics over 40 training examples" in out) == (kind == "two-sided")
    # The uniform line is what `validate` gives at that rank.
    uniform = next(line for line in out.splitlines() if line.startswith(f"Uniform rank 2, cut {kind}: 8 ranks: "))
    main(["validate", *config, "--rank", "2", "--cut", kind, "--cut_examples", "40"])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("loss "))
    assert uniform.endswith(f"loss {row.split()[1]}")


@pytest.mark.filterwarnings("ignore")  # PEFT's
@pytest.mark.parametrize("kind", ["svd", "two-sided"])
@torch.no_grad()
def test_a_budget_is_exported_as_patterns_of_ranks_and_merged(run, kind, tmp_path, capsys):
    config = ["--config", str(run / "config.yaml"), "--mean_rank", "2.5", "--cut", kind, "--cut_examples", "40"]
    main(["budget", *config])
    path = run / "budgets" / f"{kind}-mean_rank-2.5.json"
    ranks = {name.removesuffix(".factors"): rank for name, rank in json.loads(path.read_text())["ranks"].items()}
    for form in ("peft", "merged"):
        command = ["export", str(run), "--budget", str(path), "--format", form, "--output", str(tmp_path / form)]
        main(command)
    assert ("statistics over 40 training examples" in capsys.readouterr().out) == (kind == "two-sided")
    weights = load_file(tmp_path / "peft" / "adapter_model.safetensors")
    found = {
        name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"): len(rows)
        for name, rows in weights.items()
        if ".lora_A." in name
    }
    assert found == ranks
    assert len(set(ranks.values())) > 1
    assert json.loads((tmp_path / "peft" / "adapter_config.json").read_text())["rank_pattern"]
    card = (tmp_path / "peft" / "README.md").read_text()
    assert f"Budget 2.5, cut {kind}: 10 ranks in 4 modules" in card
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    backbone = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())["base_model_name_or_path"]
    config = AutoConfig.from_pretrained(tmp_path / "peft")
    base = AutoModelForSequenceClassification.from_pretrained(backbone, config=config)
    model = PeftModel.from_pretrained(base, tmp_path / "peft").eval()
    rows = AutoTokenizer.from_pretrained(backbone)(["good cheap food", "the river"], padding=True, return_tensors="pt")
    torch.testing.assert_close(model(**rows).logits, merged(**rows).logits, rtol=0, atol=1e-5)


def test_a_budget_of_another_checkpoint_or_no_budget_is_refused(run, tmp_path, refused):
    new = ["--output", tmp_path / "new"]
    none = tmp_path / "none.json"
    assert "--budget: must be a file that python -m dylora budget wrote" in refused(
        "export", run, "--budget", none, *new
    )
    none.write_text("{}")
    assert "--budget: must be a file that" in refused("export", run, "--budget", none, *new)
    other = {"cut": "svd", "mean_rank": 2, "cut_examples": 1, "checkpoint": "last.ckpt", "step": 1, "ranks": {"a": 1}}
    none.write_text(json.dumps(other))
    line = refused("export", run, "--budget", none, *new)
    assert "--budget: must be of best.ckpt, step" in line
    assert "of last.ckpt, step 1" in line
    assert "--rank: must be left out with --budget" in refused("export", run, "--budget", none, "--rank", "2", *new)
    assert "--budget: must be left out for --format dylora" in refused(
        "export", run, "--budget", none, "--format", "dylora", *new
    )
    assert not (tmp_path / "new").exists()


def test_the_whole_adapter_is_a_budget(run, capsys):
    main(["budget", "--config", str(run / "config.yaml"), "--mean_rank", "4"])
    lines = capsys.readouterr().out.splitlines()
    figures = [
        line.rpartition("ranks: ")[2].rpartition("): ")[2] for line in lines if line.startswith(("Budg", "Unif"))
    ]
    assert figures[0] == figures[1]


def test_bad_input(run, refused):
    config = ["--config", run / "config.yaml"]
    for given, told in (("0.5", "0.5"), ("9", "9"), (None, "none")):
        options = [] if given is None else ["--mean_rank", given]
        line = refused("budget", *config, *options)
        assert f"--mean_rank: must be from 1 to 4, got {told}; one rank a module is the least" in line
    line = refused("budget", *config, "--mean_rank", "2", "--cut", "alpha/b")
    assert "--cut: must be svd or two-sided for a budget, got alpha/b" in line
