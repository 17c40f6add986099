"""Ranks per module under a budget, beside the uniform cut, from a run."""

import json

import pytest
import tiny

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
    ranks = json.loads(path.read_text())
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
