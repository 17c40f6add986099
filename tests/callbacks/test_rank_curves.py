"""What a run shows and keeps of all ranks."""

import json
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dylora.callbacks.rank_curves import RankCurves, final_table
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.runs.outcomes_file import outcomes_of_step


@pytest.fixture
def run(fit, tmp_path):
    def go(**options):
        logger = TensorBoardLogger(tmp_path, "task", "version_0", default_hp_metric=False)
        folder = tmp_path / "task" / "version_0"
        folder.mkdir(parents=True)
        curves = RankCurves(folder, {"model/adapter/alpha": 16, "data/cache_dir": "cache"})
        fit(RankSamplingCallback("dylora"), curves, validate=True, logger=logger, log_every_n_steps=1, **options)
        return curves, folder

    return go


def test_the_file_holds_every_rank_of_every_epoch_and_points_at_best_and_last(run, module):
    _, folder = run()
    content = json.loads((folder / "rank_metrics.json").read_text())
    assert content["method"] == "adapter"
    assert [epoch["epoch"] for epoch in content["epochs"]] == [1, 2]
    assert [epoch["step"] for epoch in content["epochs"]] == [6, 12]
    assert set(content["epochs"][0]["metrics"]) == {"accuracy", "loss"}
    last = {int(rank): value for rank, value in content["last"]["metrics"]["accuracy"].items()}
    assert last == module.results["accuracy"]
    areas = [epoch["aurac"] for epoch in content["epochs"]]
    assert content["best"]["aurac"] == max(areas)
    assert content["best"]["epoch"] == areas.index(max(areas)) + 1
    assert not list(folder.glob("*.partial"))


def test_outcomes_of_the_best_and_of_the_last_epoch_are_kept_and_give_their_figures_again(run):
    curves, folder = run()
    for record in (curves.best, curves.history[-1]):
        kept = outcomes_of_step(folder, record["step"])
        right = (kept.values == kept.expected).mean(1)
        assert dict(zip(map(str, kept.ranks), right, strict=True)) == pytest.approx(record["metrics"]["accuracy"])
    assert curves.best is not curves.history[-1]  # or this shows nothing


def test_a_row_an_epoch_is_printed_under_one_heading(run, capsys):
    curves, _ = run()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("accuracy", "epoch"))]
    assert [line.split()[0] for line in lines] == ["accuracy", "epoch", "epoch"]
    assert f"{curves.history[1]['metrics']['accuracy']['3']:.4f}" in lines[2]
    assert final_table(curves.history[1], "accuracy", None).splitlines()[1] == lines[2]


def test_tensorboard_has_three_pictures_an_epoch_few_scalars_and_the_options_that_tell_runs_apart(run):
    curves, folder = run()
    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()
    for rank in (1, 2, 3, 4):
        assert [event.step for event in events.Scalars(f"val/accuracy/rank_{rank}")] == [5, 11]
    assert {"val/accuracy/mean", "val/accuracy/aurac", "val/accuracy/best_rank", "train/rank"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"every_rank", "rank_curve", "epoch_by_rank", "rank_curve/best_epoch"}
    assert all(len(events.Images(name)) == 2 for name in ("every_rank", "rank_curve", "epoch_by_rank"))
    assert "custom_scalars__config__" not in events.summary_metadata  # an empty panel otherwise
    assert [tag for tag in tags["scalars"] if tag.startswith("best/")] == ["best/accuracy/aurac"]
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"alpha" in content
    assert b"cache" not in content
    assert all(len(record["intervals"]) == 4 for record in curves.history)


def test_the_run_folder_has_the_same_pictures_as_png_and_svg(run):
    _, folder = run()
    for name in ("every_rank", "rank_curve", "epoch_by_rank"):
        assert (folder / f"{name}.png").stat().st_size > 5000
        assert (folder / f"{name}.svg").read_text().startswith("<?xml")


def test_history_survives_a_checkpoint():
    curves, other = RankCurves(Path("x"), {}), RankCurves(Path("y"), {})
    curves.history = [{"epoch": 1, "score": 0.5, "metrics": {"accuracy": {"1": 0.123456789}}}]
    other.load_state_dict(curves.state_dict())
    assert other.history == curves.history


def test_best_skips_an_epoch_that_is_not_a_number():
    curves = RankCurves(Path("x"), {})
    curves.history = [{"epoch": 1, "score": float("nan")}, {"epoch": 2, "score": 0.1}, {"epoch": 3, "score": 0.1}]
    assert curves.best["epoch"] == 2


def test_no_folder_inside_a_checkpoint_is_followed(tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "private" / "outcomes.npz").write_text("private")
    curves = RankCurves(tmp_path / "new", {})
    curves.load_state_dict({"history": "[]", "folder": str(tmp_path / "private")})
    assert not list((tmp_path / "new").iterdir())
