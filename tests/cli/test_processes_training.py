"""Training in two real processes (gloo) against training in one, and against itself when it is interrupted.

Weights are compared in double precision and without dropout, which each process draws for itself: what is left is the
order of additions, which moves no weight by more than 1e-9. A row, token or rank that one of the two trained otherwise
moves them by about the learning rate, 1e-2.
"""

import json
from pathlib import Path

import launched
import pytest
import tiny
import tiny_text
import torch

from dylora.adapters.ranks import RankRange, rank_at
from dylora.runs.checkpoints import read_checkpoint

ROUNDING = 1e-9
ROWS = {1: 8, 2: 4}  # of a process, by the number of processes: 8 rows a step
RECIPES = {
    "dylora": {},
    "mixed": {"rank_sampling.objective": "mixed"},
    "half_batch": {"rank_sampling.objective": "half_batch"},
    "decay": {"rank_sampling.ordered_decay.in_loss": 0.01, "rank_sampling.compensation": 2},
}
WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def _changes(root, processes, kind):
    return {
        "data.train_batch_size": ROWS[processes],
        "model.adapter.dropout": 0.0,
        "trainer.precision": "64-true",
        "trainer.limit_val_batches": 0,
        "trainer.logger": "false",
        "trainer.enable_checkpointing": "false",
        "trainer.default_root_dir": root / f"{kind}-{processes}",
        "trainer.callbacks+": "record.Record",
        "trainer.callbacks.folder": root / f"{kind}-{processes}",
        **({"trainer.strategy": "ddp", "trainer.devices": 2} if processes == 2 else {}),
    }


def _text_options(backbone, root, **changes):
    values = {
        "model": "GenerationModule",
        "data": "RestaurantTextDataModule",
        "model.backbone": backbone,
        "model.learning_rate": 1e-2,
        "model.adapter.max_rank": 4,
        "model.label_smoothing": 0.1,
        "rank_sampling.recipe": "dylora",
        "data.cache_dir": root / "cache",
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": 4,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        **changes,
    }
    return [f"--{name}={value}" for name, value in values.items()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What `record.Record` wrote of each kind of training and number of processes, in `<kind>-<processes>`."""
    root = tmp_path_factory.mktemp("processes")
    classifier = tiny.save_backbone(root / "roberta", **WITHOUT_DROPOUT)
    writer = tiny_text.save_writer(root / "gpt2", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    jobs = []
    for processes in (1, 2):
        for recipe, options in RECIPES.items():
            changes = {"trainer.max_epochs": 1, **_changes(root, processes, recipe), **options}
            jobs.append((processes, ["fit", *tiny.options(classifier, root, **changes)]))
        for recipe in ("dylora", "mixed"):
            changes = {**_changes(root, processes, f"text-{recipe}"), **RECIPES[recipe]}
            jobs.append((processes, ["fit", *_text_options(writer, root, **changes)]))
    launched.succeed(root, *jobs)
    return root


def _weights(folder, process=0):
    return torch.load(folder / f"process_{process}.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*RECIPES, "text-dylora", "text-mixed"])
def test_two_processes_of_4_rows_end_with_the_weights_of_one_of_8(trained, kind):
    alone, together = _weights(trained / f"{kind}-1"), _weights(trained / f"{kind}-2")
    assert alone.keys() == together.keys()
    for name, weight in alone.items():
        assert weight.dtype == torch.float64
        torch.testing.assert_close(
            together[name], weight, rtol=0, atol=ROUNDING, msg=lambda text, n=name: f"{n}: {text}"
        )
    assert all(torch.equal(weight, _weights(trained / f"{kind}-2", 1)[name]) for name, weight in together.items())
    moved = [name for name, weight in alone.items() if "lora_B" in name and weight.abs().max() > 100 * ROUNDING]
    assert len(moved) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dylora", "text-dylora"])
def test_all_processes_train_the_rank_that_seed_and_step_give(trained, kind):
    files = [trained / f"{kind}-{count}" / f"process_{i}.json" for count, i in ((1, 0), (2, 0), (2, 1))]
    ranks = [json.loads(path.read_text()) for path in files]
    assert ranks[0] == ranks[1] == ranks[2]
    assert ranks[0] == [rank_at(RankRange(1, 4), [0.25] * 4, 10, step) for step in range(len(ranks[0]))]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["dylora", "mixed"])
def test_a_run_of_two_processes_that_was_interrupted_ends_with_the_same_bits(tmp_path, recipe):
    """With dropout; stopped in the middle of the second epoch, at the step where processes ask one another."""
    backbone = tiny.save_backbone(tmp_path / "roberta")
    changes = {"trainer.strategy": "ddp", "trainer.devices": 2, "data.train_batch_size": 4, **RECIPES[recipe]}

    def fit(name, *more):
        options = tiny.options(backbone, tmp_path, **changes, **{"trainer.default_root_dir": tmp_path / name})
        return (2, ["fit", *options, *more])

    last = Path("restaurants", "version_0", "checkpoints", "last.ckpt")
    interrupt = ["--trainer.callbacks+=record.SignalAt", "--trainer.callbacks.step=6"]
    jobs = [fit("whole"), fit("begun", *interrupt), fit("resumed", f"--ckpt_path={tmp_path / 'begun' / last}")]
    assert launched.run(tmp_path, *jobs) == [[0, 0], [130, 130], [0, 0]]
    assert read_checkpoint(tmp_path / "begun" / last)["global_step"] == 8
    whole, resumed = (read_checkpoint(tmp_path / name / last) for name in ("whole", "resumed"))
    assert whole["global_step"] == resumed["global_step"] == 10
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, resumed["state_dict"][name]), name
    moments = [checkpoint["optimizer_states"][0]["state"] for checkpoint in (whole, resumed)]
    for number, state in moments[0].items():
        assert all(torch.equal(value, moments[1][number][name]) for name, value in state.items())


@pytest.mark.slow
def test_fewer_training_rows_than_processes_are_refused_in_one_line(tmp_path):
    backbone = tiny.save_backbone(tmp_path / "roberta")
    (tmp_path / "RTE").mkdir()
    for name in ("train", "dev"):
        (tmp_path / "RTE" / f"{name}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n")
    changes = {"data.task": "rte", "data.data_dir": tmp_path, "trainer.strategy": "ddp", "trainer.devices": 2}
    options = tiny.options(backbone, tmp_path, **changes)
    assert launched.run(tmp_path, (2, ["fit", *options])) == [[2, 2]]
    words = (tmp_path / "0-0.txt").read_text()
    assert "use fewer processes" in words
    assert "Traceback" not in words
