"""Two real processes (gloo) against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from dylora.adapters.ranks import RankRange, rank_at
from dylora.runs.outcomes_file import OUTCOMES_FILE, read_outcomes

TESTS = Path(__file__).resolve().parents[1]
ROWS = ["The cook is old .", "She reads a long book by the sea .", "Rain fell .", "They sold the car last week ."]


def _write_rte(folder, name, count):
    """An RTE file with an odd number of rows of several lengths."""
    lines = ["index\tsentence1\tsentence2\tlabel"]
    for i in range(count):
        label = ("entailment", "not_entailment")[i % 3 == 0]
        lines.append(f"{i}\t{ROWS[i % 4]}\t{ROWS[(i * i) % 3]}\t{label}")
    (folder / "RTE").mkdir(parents=True, exist_ok=True)
    (folder / "RTE" / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def options(backbone, tmp_path):
    _write_rte(tmp_path / "glue", "train.tsv", 41)
    _write_rte(tmp_path / "glue", "dev.tsv", 37)
    changes = {
        "data.task": "rte",
        "data.data_dir": tmp_path / "glue",
        "data.eval_batch_size": 4,  # 19 rows in one process are 5 batches, 18 in the other are 5 of another size
        "trainer.limit_train_batches": 1.0,
        "trainer.limit_val_batches": 1.0,
        "trainer.callbacks+": "record.Record",
        "trainer.callbacks.folder": tmp_path / "record",
    }
    return tiny.options(backbone, tmp_path, **changes)


def _command(arguments, tmp_path):
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dylora", *map(str, arguments)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_two_processes_share_ranks_adapters_and_the_figures_of_one(options, tmp_path):
    ddp = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    done = _command(["fit", *options, *ddp], tmp_path)
    assert (
        done.stdout.count("\naccuracy ") == 2
    )  # a heading for the rows and one for the last table: one process speaks
    ranks = [json.loads((tmp_path / "record" / f"process_{i}.json").read_text()) for i in (0, 1)]
    assert ranks[0] == ranks[1] == [rank_at(RankRange(1, 4), [0.25] * 4, 10, step) for step in range(6)]
    adapters = [torch.load(tmp_path / "record" / f"process_{i}.pt", weights_only=True) for i in (0, 1)]
    assert all(torch.equal(tensor, adapters[1][name]) for name, tensor in adapters[0].items())
    assert not list((tmp_path / "logs" / "rte").glob("other-process*"))

    run = tmp_path / "logs" / "rte" / "version_0"
    # Outcomes of both processes, each example once, in the order of the data; and the cuts were compared on them.
    kept, best = read_outcomes(run / OUTCOMES_FILE).kept, tiny.metrics_of(run)["best"]["metrics"]["accuracy"]
    assert kept.index.tolist() == list(range(37))
    hits = (kept.values == kept.expected).mean(1).tolist()
    assert hits == pytest.approx([best[str(rank)] for rank in kept.ranks])
    for kind in ("svd,       ", "two-sided, "):
        assert done.stdout.count(f"Cut {kind}against as trained") == 1
    assert "statistics over 41 training examples" in done.stdout

    logged = tiny.metrics_of(run)["last"]["metrics"]
    checkpoint = ["--ckpt_path", run / "checkpoints" / "last.ckpt"]
    alone = ["--trainer.strategy=auto", "--trainer.devices=1"]
    out = _command(["predict", *checkpoint, *alone, "--data.predict_split=validation", "--output=alone"], tmp_path)
    _command(["predict", *checkpoint, "--data.predict_split=validation", "--output=together"], tmp_path)
    assert "Written: alone/validation.jsonl" in out.stdout
    records = [tiny.records_of(tmp_path / name / "validation.jsonl") for name in ("alone", "together")]
    assert [record["index"] for record in records[1]] == list(range(37))
    labels = [("entailment", "not_entailment")[i % 3 == 0] for i in range(37)]
    for rank in ("1", "2", "3", "4"):
        for some in records:
            hits = sum(record["ranks"][rank]["label"] == label for record, label in zip(some, labels, strict=True))
            assert logged["accuracy"][rank] == hits / 37


@pytest.mark.slow
def test_two_processes_share_a_trained_heads_running_statistics(options, tmp_path):
    """Moved by other rows in each process; evaluated in five batches by one process and in four by the other."""
    _write_rte(tmp_path / "glue", "dev.tsv", 33)
    own = ["--model.method=own_project.NormalisedHead", "--trainer.strategy=ddp", "--trainer.devices=2"]
    _command(["fit", *options, *own], tmp_path)
    states = [torch.load(tmp_path / "record" / f"process_{i}.pt", weights_only=True) for i in (0, 1)]
    name = "model.classifier.dropout.running_mean"
    assert states[0][name].abs().min() > 0
    assert [key for key, tensor in states[0].items() if not torch.equal(tensor, states[1][key])] == []
