"""Whole commands in two real processes (gloo) that share a frozen backbone, against DDP and against one process."""

import json
from pathlib import Path

import launched
import pytest
import tiny
import tiny_text
import torch
from transformers import AutoModel

import dylora
from dylora.cli import main
from dylora.runs.checkpoints import read_checkpoint
from dylora.scale.blocks import blocks_of

FSDP = Path(__file__).resolve().parents[2] / "configs" / "trainer" / "fsdp.yaml"
ROUNDING = 1e-9  # in double precision and without dropout, see test_processes_training
WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
WAYS = {
    "alone": ["--trainer.strategy=auto", "--trainer.devices=1"],
    "ddp": ["--trainer.strategy=ddp", "--trainer.devices=2"],
    "shared": [f"--config={FSDP}", "--trainer.devices=2"],
}


def _command(command, way, values):
    options = [f"--{key}={value}" for key, value in values.items()]
    return (1 if way == "alone" else 2, [command, *options, *WAYS[way], "--trainer.accelerator=cpu"])


def _sentences(root):
    """37 rows: 19 and 18, so that the processes have 10 and 9 batches of two."""
    (root / "glue" / "RTE").mkdir(parents=True)
    words, labels = ("She reads a long book by the sea .", "Rain fell ."), ("entailment", "not_entailment")
    for name, size in (("train", 48), ("dev", 37)):
        lines = [f"{i}\t{words[i % 2]}\t{words[i % 3 == 0]}\t{labels[i * i % 3 == 0]}" for i in range(size)]
        path = root / "glue" / "RTE" / f"{name}.tsv"
        path.write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *lines]) + "\n")
    changes = {
        "model.adapter.dropout": 0.0,
        "data.task": "rte",
        "data.data_dir": root / "glue",
        "data.eval_batch_size": 2,
        "rank_sampling.recipe": "sorted",
        "rank_sampling.polish.examples": 15,
        "trainer.max_epochs": 2,
        "trainer.precision": "64-true",
        "trainer.limit_train_batches": 4,
        "trainer.limit_val_batches": 1.0,
        "trainer.logger": "false",
    }
    backbone = tiny.save_backbone(root / "roberta", **WITHOUT_DROPOUT)
    given = tiny.options(backbone, root, **changes)
    return dict(each.removeprefix("--").split("=", 1) for each in given if "default_root_dir" not in each)


def _text(root):
    return {
        "model": "GenerationModule",
        "data": "RestaurantTextDataModule",
        "model.backbone": tiny_text.save_writer(root / "llama", "llama"),
        "model.adapter.max_rank": 4,
        "model.learning_rate": 1e-2,
        "model.decoding": "e2e",
        "model.max_new_tokens": 8,
        "data.eval_batch_size": 2,
        "data.generate_examples": 5,
        "data.cache_dir": root / "cache",
        "rank_sampling.recipe": "dylora",
        "rank_sampling.objective": "mixed",
        "trainer.precision": "64-true",
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": 4,
        "trainer.limit_val_batches": 2,
        "trainer.enable_progress_bar": "false",
        "trainer.logger": "false",
    }


LAST = Path("version_0", "checkpoints", "last.ckpt")
RUNS = {"sentences": "rte", "text": "restaurants_text"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """`<kind>-<way>`: the root of a run; `<kind>-<way>.json`: the shared run's last checkpoint, validated."""
    root = tmp_path_factory.mktemp("sharded")
    kinds = {"sentences": _sentences(root), "text": _text(root)}
    jobs = []
    for kind, values in kinds.items():
        for way in ("ddp", "shared"):
            where = {"trainer.default_root_dir": root / f"{kind}-{way}", "data.train_batch_size": 4}
            where |= {"trainer.callbacks+": "record.Held", "trainer.callbacks.folder": root / f"{kind}-{way}"}
            jobs.append(_command("fit", way, {**values, **where}))
        run = root / f"{kind}-shared" / RUNS[kind]
        for way in ("alone", "shared"):
            place = {"config": run / "version_0" / "config.yaml", "ckpt_path": run / LAST}
            recorded = {"trainer.callbacks+": "record.Figures", "trainer.callbacks.path": root / f"{kind}-{way}.json"}
            # Of text, four batches of two rows: those of two batches in each of two processes.
            most = {"trainer.limit_val_batches": 4} if (kind, way) == ("text", "alone") else {}
            jobs.append(_command("validate", way, {**place, **recorded, **most}))
    launched.succeed(root, *jobs)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_what_is_trained_over_a_shared_backbone_is_what_ddp_trains(trained, kind):
    """Of sentences by the default recipe, with its sort and its learned order; of text with a rank for each row."""
    ddp, shared = (read_checkpoint(trained / f"{kind}-{way}" / RUNS[kind] / LAST) for way in ("ddp", "shared"))
    assert shared["global_step"] == ddp["global_step"] > 0
    assert shared["state_dict"].keys() == ddp["state_dict"].keys()
    assert all("lora_" in name or "classifier" in name for name in shared["state_dict"])
    for name, weight in ddp["state_dict"].items():
        torch.testing.assert_close(shared["state_dict"][name], weight, rtol=0, atol=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_one_process_validates_the_checkpoint_with_the_figures_of_two_that_share_the_backbone(trained, kind):
    """The processes have unequal numbers of batches, and write texts of unequal lengths."""
    alone, shared = (json.loads((trained / f"{kind}-{way}.json").read_text()) for way in ("alone", "shared"))
    assert alone["metrics"].keys() == shared["metrics"].keys()
    for name, by_rank in alone["metrics"].items():
        assert shared["metrics"][name] == pytest.approx(by_rank, rel=1e-5)
    assert alone["files"] == shared["files"]
    assert alone["outcomes"] == shared["outcomes"] or kind == "text"


@pytest.mark.slow
def test_an_export_of_its_checkpoint_answers(trained, tmp_path):
    run = trained / "sentences-shared" / "rte" / "version_0"
    main(["export", str(run), "--format", "dylora", "--output", str(tmp_path / "out")])
    answers = dylora.load(tmp_path / "out", 2)(["Rain fell ."], ["Rain fell ."])
    assert "label" in answers[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_each_process_holds_its_part_of_the_frozen_blocks(trained, kind):
    """All of them in DDP; shared, the two together as much as there is and the embeddings once more."""
    ddp, *shared = (
        json.loads((trained / name / f"held_{place}.json").read_text())
        for name, place in ((f"{kind}-ddp", 0), (f"{kind}-shared", 0), (f"{kind}-shared", 1))
    )
    assert ddp[0] == ddp[1] == shared[0][1] == shared[1][1]
    backbone = AutoModel.from_pretrained(trained / ("roberta" if kind == "sentences" else "llama"))
    inside = sum(p.numel() for block in blocks_of(backbone) for p in block.parameters())
    assert inside > 0
    for held, whole in shared:
        assert held - (whole - inside) == pytest.approx(inside / 2, rel=0.01)


@pytest.mark.parametrize("strategy", ["fsdp", "fsdp_cpu_offload", "lightning.pytorch.strategies.ModelParallelStrategy"])
def test_strategies_that_would_spread_the_adapters_are_refused_in_one_line(tmp_path, refused, strategy):
    options = tiny.options(tiny.save_backbone(tmp_path / "roberta"), tmp_path)
    line = refused("fit", *options, f"--trainer.strategy={strategy}")
    assert "--trainer.strategy: must be one under which all of an adapter is in each process" in line
    assert not (tmp_path / "logs").exists()
