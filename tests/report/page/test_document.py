"""The page of a run: whole, from nowhere else, with what each kind of run has to show, and never over a file."""

import json
import re

import numpy as np
import pytest
import torch

from dylora.errors import InputError
from dylora.rank_curve.kept import KeptOutcomes
from dylora.report.page.document import page, write_page
from dylora.report.page.runs import read_runs, sizes_of
from dylora.runs.outcomes_file import write_outcomes
from dylora.runs.record import RunRecord


def _write(folder, rate=0.1, step=7, **more):
    folder.mkdir(parents=True)
    curve = {"1": 0.5, "2": 0.75}
    epoch = {"epoch": 1, "step": step, "metrics": {"accuracy": curve}, "intervals": {"1": [0.4, 0.6], "2": [0.7, 0.8]}}
    best = {**epoch, "chosen_rank": 2}
    content = {
        "task": "a<b",
        "metric": "accuracy",
        "seconds": 61.0,
        "best": best,
        "last": best,
        "epochs": [epoch, best],
    }
    (folder / "rank_metrics.json").write_text(json.dumps({**content, **more}))
    (folder / "config.yaml").write_text(f"model: {{learning_rate: {rate}}}\ndata: {{cache_dir: {folder}}}\n")
    return folder


@pytest.fixture
def run(tmp_path):
    folder = _write(tmp_path / "a" / "version_0", cuts_of_best={"svd": {"1": 0.625, "2": 0.75}})
    values = np.array([[0, 1, 0, 0], [0, 1, 1, 0]], dtype=np.int32)
    kept = KeptOutcomes("classes", "accuracy", (1, 2), values, np.array([0, 1, 1, 1]), np.zeros(4), np.arange(4))
    write_outcomes(folder / "outcomes.npz", kept, 7)
    (folder / "checkpoints").mkdir()
    state = {"x.lora_A": torch.zeros(2, 3), "x.lora_B": torch.zeros(5, 2), "head": torch.zeros(4)}
    entry = {
        "format": 1,
        "task": "a",
        "backbone": {"name": "b", "fingerprint": "f"},
        "adapter": {},
        "labels": ["no", "yes"],
    }
    content = {"epoch": 0, "global_step": 7, "state_dict": state, "dylora": entry}
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    return folder


def test_a_page_needs_nothing_from_elsewhere_and_has_curves_costs_and_errors(run):
    text = page(read_runs([run]))
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!#)", text)
    assert "a&lt;b" in text
    assert text.count("<svg") == 3
    assert "<mark>0.7500</mark><small>0.7000 to 0.8000</small>" in text
    assert "SVD cut" in text
    assert "<td>12</td><td>20</td>" in text  # (3 + 5) numbers a rank, 4 of the head
    assert "61 s" in text
    # of three examples of `yes`, rank 1 guesses two wrong, rank 2 one
    assert "yes<small>3 examples</small></th><td>66.7%</td><td>33.3%</td>" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_costs_grow_with_the_rank_by_what_one_component_has():
    sizes = sizes_of({"a.lora_A": torch.zeros(8, 3), "a.lora_B": torch.zeros(5, 8), "head": torch.zeros(2, 2)})
    assert [sizes.at(rank) for rank in (1, 8)] == [(12, 48), (68, 272)]
    assert sizes_of({"head": torch.zeros(2)}) is None


def test_runs_are_compared_by_the_options_that_differ_and_places_are_none(run, tmp_path):
    _write(tmp_path / "b" / "version_0", rate=0.2)
    text = page(read_runs([tmp_path]))
    section = text[text.index("What the runs differ in") :]
    section = section[: section.index("</section>")]
    assert "<td>0.1</td><td>0.2</td>" in section
    assert "cache_dir" not in section


@pytest.mark.parametrize("writer", ["test", "predict"])
def test_texts_are_shown_at_every_rank(run, writer):
    folder = run / "predictions"
    folder.mkdir()
    if writer == "test":
        for rank in (1, 2):
            record = {"index": 0, "input": "name: <Blue>", "output": f"text {rank}"}
            (folder / f"rank_{rank}.jsonl").write_text(json.dumps(record) + "\n")
    else:
        record = {"index": 0, "input": "name: <Blue>", "ranks": {"1": {"text": "text 1"}, "2": {"text": "text 2"}}}
        (folder / "test.jsonl").write_text(json.dumps(record) + "\n")
    text = page(read_runs([run]))
    assert "<h4>name: &lt;Blue&gt;</h4>" in text
    assert text.index("text 1") < text.index("text 2")


def test_of_a_sweeps_resumed_run_the_last_one_counts(tmp_path):
    place = tmp_path / "s" / "dylora" / "rte" / "seed_1"
    for number in (0, 1):
        _write(place / "rte" / f"version_{number}")
    values = {"rank": None, "learning_rate": None, "overrides": {}, "command": [], "status": "finished"}
    record = RunRecord("s", "2", "dylora", "DyLoRA", "rte", 1, **values, result="rte/version_1", seconds=5.0)
    record.write(place)
    (found,) = read_runs([tmp_path])
    assert (found.folder.name, found.name, found.seconds) == ("version_1", "DyLoRA, seed 1", 5.0)


def test_an_existing_file_is_kept(run, tmp_path):
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(InputError, match="--html: must be a file that does not exist yet"):
        write_page(tmp_path / "there.html", read_runs([run]))
    assert (tmp_path / "there.html").read_text() == "mine"


def test_a_folder_without_runs_and_damaged_figures_are_one_line(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"a folder with runs .*which has none"):
        read_runs([tmp_path / "empty"])
    (run / "rank_metrics.json").write_text("{}")
    with pytest.raises(InputError, match="a file of figures that dylora wrote"):
        read_runs([run])
