"""Training that starts from the adapter of another run."""

import pytest
import tiny
import yaml

from dylora.cli import main


def test_more_ranks_start_where_the_old_run_ended(trained, backbone, tmp_path, capsys):
    old = trained / "logs" / "restaurants" / "version_0"
    changes = {"model.adapter.max_rank": 8, "model.learning_rate": 1e-12, "trainer.max_steps": 1}
    main(["fit", *tiny.options(backbone, tmp_path, **changes), "--init_from", str(old)])
    assert (
        f"Starts from {old}/checkpoints/best.ckpt: ranks 1 to 4 as they were, with 4 tensors" in capsys.readouterr().out
    )
    run = tmp_path / "logs" / "restaurants" / "version_0"
    expected, found = (tiny.metrics_of(each)["best"]["metrics"]["loss"] for each in (old, run))
    for rank in range(1, 5):
        assert found[str(rank)] == pytest.approx(expected[str(rank)], rel=1e-5)
    assert found["8"] == pytest.approx(expected["4"], rel=1e-5)
    assert "init_from" not in yaml.safe_load((run / "config.yaml").read_text())
    main(["validate", "--config", str(run / "config.yaml"), "--rank", "8"])


def test_bad_input(trained, backbone, tmp_path, refused):
    old = trained / "logs" / "restaurants" / "version_0"
    options = tiny.options(backbone, tmp_path)
    last = old / "checkpoints" / "last.ckpt"
    line = refused("fit", *options, "--init_from", old, "--ckpt_path", last)
    assert "--init_from: must be left out with --ckpt_path" in line
    assert "which does not exist" in refused("fit", *options, "--init_from", tmp_path / "none")
    smaller = tiny.options(backbone, tmp_path, **{"model.adapter.max_rank": 2})
    assert "--init_from: must be an adapter of max_rank 2 or less" in refused("fit", *smaller, "--init_from", old)
    other = tiny.save_backbone(tmp_path / "other", seed=1)
    line = refused("fit", *tiny.options(other, tmp_path), "--init_from", last)
    assert "--init_from: must be a run on backbone" in line
    assert not list((tmp_path / "logs").rglob("version_*"))
