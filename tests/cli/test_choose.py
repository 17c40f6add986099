"""`choose` on runs, the evidence that `fit` keeps, and its words."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny
import torch

from dylora.cli import main
from dylora.metrics.glue import GLUEMetrics
from dylora.runs.outcomes_file import OUTCOMES_FILE, read_outcomes, write_outcomes
from dylora.tasks import get_task


@pytest.fixture
def run(trained):
    return trained / "logs" / "restaurants" / "version_0"


@pytest.fixture
def clear(run, tmp_path):
    """The run's folder with outcomes that leave no doubt: of 2,000 examples 1,400, 1,597, 1,600 and 1,600 are right."""
    folder = tmp_path / "clear"
    shutil.copytree(run, folder)
    record = read_outcomes(run / OUTCOMES_FILE)
    values = np.array([np.arange(2000) < right for right in (1400, 1597, 1600, 1600)]).astype(np.int32)
    ones, places = np.ones(2000, dtype=np.int32), np.arange(2000, dtype=np.int32)
    kept = type(record.kept)("classes", "accuracy", (1, 2, 3, 4), values, ones, 0 * ones, places)
    write_outcomes(folder / OUTCOMES_FILE, kept, record.step)
    return folder


def test_kept_outcomes_give_the_best_epochs_figures(run):
    record, best = read_outcomes(run / OUTCOMES_FILE), tiny.metrics_of(run)["best"]
    assert record.step == best["step"]
    kept = record.kept
    assert kept.index.tolist() == sorted(kept.index.tolist())
    assert len(set(kept.index.tolist())) == kept.examples == 96
    for rank, classes in zip(kept.ranks, kept.values, strict=True):
        metric = GLUEMetrics(get_task("restaurants"))
        metric.update(torch.nn.functional.one_hot(torch.from_numpy(classes).long(), 2), torch.from_numpy(kept.expected))
        assert metric.compute()["accuracy"] == best["metrics"]["accuracy"][str(rank)]


def test_the_record_of_the_run_has_the_choice(run):
    content = tiny.metrics_of(run)
    chosen = content["chosen"]
    assert (chosen["checkpoint"], chosen["step"]) == ("checkpoints/best.ckpt", content["best"]["step"])
    assert {rank: found["value"] for rank, found in chosen["ranks"].items()} == pytest.approx(
        content["best"]["metrics"]["accuracy"]
    )


def test_choose_takes_the_newest_run_a_run_or_seeds(clear, run, trained, capsys, monkeypatch):
    main(["choose", str(clear)])
    out = capsys.readouterr().out
    assert "2000 validation examples" in out
    assert out.endswith(
        "Rank 2 is the smallest rank that is within 0.01 (relative) of the best rank with 0.95 confidence.\n"
    )
    main(["choose", str(clear / "config.yaml"), "--tolerance", "0.2"])
    assert "Rank 1 is the smallest rank" in capsys.readouterr().out
    main(["choose", str(clear), str(clear), str(clear)])
    assert "the mean over all seeds, of which these are 3" in capsys.readouterr().out
    monkeypatch.chdir(trained)
    main(["choose"])
    assert capsys.readouterr().out.startswith("logs/restaurants/version_0: 96 validation examples")


def test_bad_input(run, clear, tmp_path, refused):
    line = refused("choose", run.parent)
    assert "RUN: must be a run that kept each example's outcomes (outcomes.npz)" in line
    assert "RUN: must be the folder of a run" in refused("choose", tmp_path / "none")
    assert "RUN: must be given where there is no single run" in refused("choose")
    assert "tolerance: must be 0 or more, got -1" in refused("choose", clear, "--tolerance", "-1")
    assert "same 96 examples" in refused("choose", run, clear)
    assert "--tolerance: must be float, got much; --help describes it" in refused(
        "choose", clear, "--tolerance", "much"
    )
    record = read_outcomes(clear / OUTCOMES_FILE)
    write_outcomes(clear / OUTCOMES_FILE, record.kept, record.step + 1)
    assert "a run with outcomes of its best checkpoint" in refused("choose", clear)


def test_choose_needs_no_training_libraries(clear):
    code = (
        "import sys; from dylora.cli import main; "
        f"main(['choose', {str(clear)!r}]); assert not {{'torch', 'lightning', 'transformers'}} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_words_at_the_end_of_training(backbone, tmp_path, capsys):
    main(["fit", *tiny.options(backbone, tmp_path)])
    out = capsys.readouterr().out
    chosen = tiny.metrics_of(tmp_path / "logs" / "restaurants" / "version_0")["chosen"]
    assert f"Chosen rank: {chosen['rank']} (accuracy " in out
    assert chosen["statement"] in out
    assert "Cut svd,       against as trained, mean over the ranks: " in out
    assert "statistics over 40 training examples in " in out


def test_a_resumed_run_has_the_outcomes_of_the_best_epoch_before(backbone, tmp_path):
    slow = {"model.learning_rate": 1e-9}  # no epoch is better than the first
    signal = {"trainer.callbacks+": "record.SignalAt", "trainer.callbacks.step": 7}
    with pytest.raises(SystemExit):
        main(["fit", *tiny.options(backbone, tmp_path, **slow, **signal)])
    before = tmp_path / "logs" / "restaurants" / "version_0"
    main(["fit", "--config", f"{before}/config.yaml", "--ckpt_path", f"{before}/checkpoints/last.ckpt"])
    resumed = before.with_name("version_1")
    assert read_outcomes(resumed / OUTCOMES_FILE).step == tiny.metrics_of(resumed)["best"]["step"] == 5
    assert "chosen" in tiny.metrics_of(resumed)


def test_the_final_tables_show_as_chosen_what_the_words_say(backbone, tmp_path, capsys):
    """Of 96 examples the figures alone take a smaller rank than the evidence."""
    main(["fit", *tiny.options(backbone, tmp_path)])
    run = tmp_path / "logs" / "restaurants" / "version_0"
    content = tiny.metrics_of(run)
    assert content["chosen"]["rank"] != content["best"]["chosen_rank"]
    table = capsys.readouterr().out.split("Best epoch")[1].splitlines()
    assert int(table[2].split()[-1]) == content["chosen"]["rank"]
    main(["validate", "--config", str(run / "config.yaml")])
    lines = capsys.readouterr().out.splitlines()
    by_metric = {line.split()[0]: line.split() for line in lines if line.startswith(("accuracy", "loss"))}
    assert int(by_metric["accuracy"][-1]) == content["chosen"]["rank"]
    assert len(by_metric["loss"]) == len(by_metric["accuracy"]) - 1
    assert content["chosen"]["statement"] in lines
