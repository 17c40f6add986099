"""`predict --text`: answers at the asked ranks."""

import pytest

import dylora
from dylora.cli import main

pytestmark = pytest.mark.slow
FIRST, SECOND = "the food was good", "they liked it"


def test_a_pair_at_two_ranks_of_the_newest_run(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    main(["predict", "--text", FIRST, "--text_pair", SECOND, "--rank", "1,4"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{FIRST} | {SECOND}"
    loaded = dylora.load("logs/restaurants/version_0")
    for line, rank in zip(lines[1:], (1, 4), strict=True):
        answer = loaded.set_rank(rank)(FIRST, SECOND)
        share = answer["probabilities"]["entailment"]
        assert line.startswith(f"  rank {rank}   {answer['label']} (entailment {share:.4f}, ")


def test_the_largest_rank_of_a_named_run_by_default(trained, capsys):
    run = trained / "logs/restaurants/version_0"
    main(["predict", f"--text={FIRST}", f"--text={SECOND}", "--config", str(run / "config.yaml")])
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()][1::2] == [["rank", "4"]] * 2


def test_bad_options_are_one_line(trained, refused, monkeypatch, tmp_path):
    run = trained / "logs/restaurants/version_0"
    assert "ranks 1 to 4, got 9" in refused("predict", "--text", FIRST, "--rank", "9", "--ckpt_path", run)
    line = refused("predict", "--text", FIRST, "--text", FIRST, "--text_pair", SECOND, "--ckpt_path", run)
    assert "--text_pair: must be given once for each --text" in line
    for path in (tmp_path / "no.ckpt", tmp_path):  # none, and a folder without a checkpoint
        line = refused("predict", "--text", FIRST, "--ckpt_path", path)
        assert line.startswith("dylora: error: --ckpt_path: must be ")
    assert "train first" in refused("predict", "--text", FIRST)
