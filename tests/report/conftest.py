"""Run folders as a sweep leaves them, with known figures."""

import json

import pytest

from dylora.runs.outcomes_file import cut_outcomes_file, write_outcomes
from dylora.runs.record import RunRecord

STEP = 12

LABELS = {"dylora": "DyLoRA", "lora": "LoRA", "lora_per_rank": "LoRA (one per rank)", "fine_tune": "Fine Tune"}


@pytest.fixture
def save_run(tmp_path):
    """Write a run's folder; gives the folder.

    Called with system, task and seed, the figures by metric and rank (the first metric is the monitored one), and
    changes of the record. `cuts` are figures likewise; `best` those of another epoch. `kept` are outcomes under the
    name of the cut, an empty one for the run itself.
    """

    def save(
        system, task, seed, figures, cuts=None, best=None, where="logs", score=0.5, config="", kept=None, **changes
    ):
        place = tmp_path / where / system / task / f"seed_{seed}"
        place = place.joinpath(*(f"{key}_{changes[key]}" for key in ("rank", "learning_rate") if key in changes))
        values = {"rank": None, "learning_rate": None, "table": None, "status": "finished", **changes}
        values = {"result": "task/version_0", "finished": "2026-01-01T00:00:00+00:00", "seconds": 60.0, **values}
        label = LABELS.get(system, system)
        record = RunRecord("s", system=system, label=label, task=task, seed=seed, overrides={}, command=[], **values)
        record.write(place)
        folder = place / "task" / "version_0"
        (folder / "cuts").mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(config)
        last = {"metrics": _text_keys(figures), "score": score, "step": STEP}
        content = {
            "metric": next(iter(figures)),
            "last": last,
            "best": {**last, "metrics": _text_keys(best or figures)},
        }
        (folder / "rank_metrics.json").write_text(json.dumps(content))
        for name, cut in (cuts or {}).items():
            (folder / "cuts" / f"{name}.json").write_text(
                json.dumps({"cut": name.replace("-", "/"), "metrics": _text_keys(cut), "step": STEP})
            )
        for name, outcomes in (kept or {}).items():
            path = cut_outcomes_file(folder, name) if name else folder / "outcomes_last.npz"
            write_outcomes(path, outcomes, STEP)
        return place

    return save


def _text_keys(figures):
    return {metric: {str(rank): value for rank, value in values.items()} for metric, values in figures.items()}


@pytest.fixture
def known_runs(save_run, tmp_path):
    """Runs for Table 3 with a missing rank, a crashed run and a duplicate seed; gives their folder."""
    save_run("dylora", "mrpc", 10, {"f1": {1: 0.90, 2: 0.91, 8: 0.92}, "accuracy": {1: 0.5, 2: 0.5, 8: 0.5}})
    save_run("dylora", "mrpc", 42, {"f1": {1: 0.92, 2: 0.915, 8: 0.91}}, finished="2026-01-02T00:00:00+00:00")
    save_run("dylora", "mrpc", 42, {"f1": {1: 0.1, 2: 0.1, 8: 0.1}}, where="old")
    save_run("dylora", "mrpc", 4242, {"f1": {1: 0.91, 2: 0.90}})
    save_run("dylora", "mrpc", 1010, {"f1": {1: 0.3}}, status="failed", error="ValueError: no memory left")
    save_run("dylora", "stsb", 10, {"pearson": {1: 0.90, 2: 0.90, 8: 0.905}})
    save_run("lora_per_rank", "mrpc", 10, {"f1": {1: 0.915}}, rank=1)
    save_run("fine_tune", "mrpc", 10, {"f1": {8: 0.905}})
    return tmp_path
