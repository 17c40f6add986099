"""Evaluation in two real processes (gloo) against one: figures, outcomes, texts and their order.

Three sizes of a split: one row (a process has none), five (the processes have another number of batches) and eight.
"""

import json
import shutil

import launched
import pytest
import tiny
import tiny_images
import tiny_text

KINDS = ("sentences", "text", "images")
SIZES = (1, 5, 8)
SHORT = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 3, "trainer.limit_val_batches": 1}
RUNS = {"sentences": "rte", "text": "e2e", "images": "images"}


def _write_sentences(folder, size):
    (folder / "RTE").mkdir(parents=True)
    labels, words = ("entailment", "not_entailment"), ("She reads a long book by the sea .", "Rain fell .")
    lines = [f"{i}\t{words[i % 2]}\t{words[i % 3 == 0]}\t{labels[i * i % 3 == 0]}" for i in range(size)]
    for name, rows in (("train", lines * 8), ("dev", lines)):
        (folder / "RTE" / f"{name}.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *rows]) + "\n")


def _write_text(folder, size):
    folder.mkdir(parents=True)
    lines = [f'"name[The Mill {i}], eatType[pub]",{" ".join(["A pub ."] * (i % 4 + 1))}' for i in range(size)]
    for name in ("trainset", "devset", "testset_w_refs"):
        (folder / f"{name}.csv").write_text("\n".join(["mr,ref", *lines]) + "\n")


def _write_images(folder, size):
    tiny_images.write_folders(folder / "train", 6)
    tiny_images.write_folders(folder / "validation", 3, first=50)
    for path in sorted((folder / "validation").glob("*/*.png"))[size:]:
        path.unlink()
    for place in (folder / "validation").iterdir():
        if not any(place.iterdir()):
            place.rmdir()


WRITERS = {"sentences": _write_sentences, "text": _write_text, "images": _write_images}


def _fit(root, kind):
    """The options of a short training."""
    data = root / f"{kind}-8"
    if kind == "sentences":
        changes = {"data.task": "rte", "data.data_dir": data, **SHORT}
        return tiny.options(tiny.save_backbone(root / "roberta"), root, **changes)
    if kind == "images":
        changes = {"data.data_dir": data, "data.name": "images", **SHORT}
        return tiny_images.options(tiny_images.save_backbone(root / "vit"), root, **changes)
    values = {
        "model": "GenerationModule",
        "data": "E2EDataModule",
        "data.data_dir": data,
        "data.cache_dir": root / "cache",
        "model.backbone": tiny_text.save_writer(root / "gpt2"),
        "model.learning_rate": 1e-2,
        "model.decoding": "greedy",
        "model.max_new_tokens": 6,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.default_root_dir": root / "logs",
        **SHORT,
    }
    return [f"--{name}={value}" for name, value in values.items()]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """What `record.Figures` wrote: `<kind>-<size>-<processes>.json`."""
    root = tmp_path_factory.mktemp("evaluated")
    for kind in KINDS:
        for size in SIZES:
            WRITERS[kind](root / f"{kind}-{size}", size)
    jobs = [(1, ["fit", *_fit(root, kind)]) for kind in KINDS]
    several = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    for kind in KINDS:
        run = root / "logs" / RUNS[kind] / "version_0"
        for size in SIZES:
            for processes in (1, 2):
                path = root / f"{kind}-{size}-{processes}.json"
                options = [f"--data.data_dir={root / f'{kind}-{size}'}", "--data.eval_batch_size=2"]
                options += ["--trainer.limit_val_batches=1.0", "--trainer.callbacks+=record.Figures"]
                command = ["validate", f"--config={run / 'config.yaml'}", *options, f"--trainer.callbacks.path={path}"]
                jobs.append((processes, [*command, *(several if processes == 2 else [])]))
    launched.succeed(root, *jobs)
    yield root
    shutil.rmtree(root)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_give_the_figures_the_outcomes_and_the_texts_of_one(evaluated, kind, size):
    one, two = (json.loads((evaluated / f"{kind}-{size}-{count}.json").read_text()) for count in (1, 2))
    assert one["metrics"].keys() == two["metrics"].keys()
    for name, by_rank in one["metrics"].items():
        assert set(by_rank) == {"1", "2", "3", "4"}
        assert two["metrics"][name] == pytest.approx(by_rank, rel=1e-5)
    assert one["files"] == two["files"]
    assert bool(one["files"]) == (kind == "text")
    if kind == "text":
        assert [each["index"] for each in two["files"]["rank_1"]] == list(range(size))
        return
    assert two["outcomes"]["index"] == one["outcomes"]["index"] == list(range(size))
    assert two["outcomes"]["values"] == one["outcomes"]["values"]
