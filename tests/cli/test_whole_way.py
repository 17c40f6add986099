"""The whole way as a user goes it: own data, fit, choose, export, and the files in plain `peft` and `transformers`."""

import csv
import json
import subprocess
import sys
from contextlib import nullcontext

import pytest
import tiny
import tiny_images
import tiny_text
import torch
from PIL import Image
from transformers import AutoTokenizer, ViTImageProcessor

import dylora
from dylora.adapters.budget import truncated
from dylora.adapters.cuts import cut
from dylora.cli import main

_PLAIN = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch

found = []
for case in json.load(open("cases.json")):
    names = {}
    exec(open(case["folder"] + "/README.md").read().split("```python\\n")[1].split("```")[0], names)  # as the card says
    model, inputs = names["model"].eval(), {name: torch.tensor(value) for name, value in case["inputs"].items()}
    with torch.no_grad():
        known = {"labels": inputs["input_ids"]} if model.config.is_encoder_decoder else {}
        record = {"logits": model(**inputs, **known).logits.tolist(), "labels": list(model.config.id2label.values())}
        if not case["head"]:
            record["text"] = model.generate(**inputs, max_new_tokens=8, do_sample=False).tolist()
    found.append(record)
assert "dylora" not in sys.modules
json.dump(found, open("found.json", "w"))
"""
TEXTS = ["good cheap food", "the river is near"]
WORDS = ("pub", "cafe", "bar", "inn")
WRITERS = {"gpt2": "alpha/max_rank", "llama": "alpha/b", "t5": "alpha/sqrt(b*max_rank)"}


def fit(root, backbone, model, data, **changes):
    """Train an epoch; gives the folder of the run."""
    values = {
        "model": model,
        "data": data,
        "model.backbone": backbone,
        "model.learning_rate": 2e-2,
        "model.adapter.max_rank": 4,
        "data.train_batch_size": 4,
        "trainer.max_epochs": 1,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.logger": "false",
        "trainer.default_root_dir": root / "logs",
        **changes,
    }
    main(["fit", *(f"--{name}={value}" for name, value in values.items())])
    return next(path.parent for path in (root / "logs").rglob("config.yaml"))


def classifier(root):
    """Texts in three named classes, in a CSV file."""
    rows = [(f"a {word} {n}", ("bad", "good", "so, so")[n % 3]) for n, word in enumerate(WORDS * 12)]
    with (root / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    files = {"data.train_file": root / "own.csv", "data.cache_dir": root / "cache"}
    return fit(
        root, tiny.save_backbone(root / "base"), "SequenceClassificationModule", "TextClassificationDataModule", **files
    )


def images(root):
    """Folders of images in three classes."""
    tiny_images.write_folders(root / "images" / "train", 8)
    backbone = tiny_images.save_backbone(root / "base")
    data = {"data.data_dir": root / "images", "model.adapter.scaling": "alpha/b", "rank_sampling.recipe": "dylora"}
    return fit(root, backbone, "ImageClassificationModule", "ImageClassificationDataModule", **data)


def writer(root, family):
    """Prompts and completions, in a JSON Lines file."""
    rows = [{"prompt": f"a {word} {n}", "completion": f"The {word}."} for n, word in enumerate(WORDS * 4)]
    (root / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"data.train_file": root / "own.jsonl", "data.cache_dir": root / "cache", "data.max_length": 24}
    changes = {"model.adapter.scaling": WRITERS[family], "model.max_new_tokens": 3, "data.generate_examples": 0}
    changes |= {"rank_sampling.recipe": "dylora"}  # goes with every scaling
    backbone = tiny_text.save_writer(root / "base", family)
    return fit(root, backbone, "GenerationModule", "PromptDataModule", **files, **changes)


def inputs_of(root, kind):
    """What goes into the model, from the files of the export alone."""
    if kind == "images":
        picture = Image.fromarray(tiny_images.pixels("dark", 99))
        return dict(ViTImageProcessor.from_pretrained(root / "peft")(picture, return_tensors="pt"))
    texts = TEXTS[:1] if kind in WRITERS else TEXTS
    rows = AutoTokenizer.from_pretrained(root / "peft")(texts, padding=len(texts) > 1, return_tensors="pt")
    return {name: rows[name] for name in ("input_ids", "attention_mask")}


@torch.no_grad()
def answer(loaded, rank, inputs):
    """Logits at a rank, and the greedy text of a model that writes."""
    model = loaded.set_rank(rank).model
    known = {"labels": inputs["input_ids"]} if loaded.kind == "text" and model.config.is_encoder_decoder else {}
    found = {"logits": model(**inputs, **known).logits}
    if loaded.kind == "text":
        found["text"] = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    return found


def exported(root, run, kind):
    """Export a run in every form; gives what the fresh process is told, and what it has to find."""
    with_cut, rank = (["--cut", "svd"] if kind != "t5" else []), "2"
    main(["budget", "--config", str(run / "config.yaml"), "--mean_rank", "2.5"])
    (budget,) = (run / "budgets").iterdir()
    forms = {
        "peft": ["--rank", rank],
        "merged": ["--rank", rank, "--format", "merged"],
        "cut": ["--rank", "1", *with_cut],
        "budget": ["--budget", str(budget)],
        "budget-merged": ["--budget", str(budget), "--format", "merged"],
    }
    for name, options in forms.items():
        main(["export", str(run), "--output", str(root / name), *options])
    inputs, loaded = inputs_of(root, kind), dylora.load(run)
    expected = dict.fromkeys(("peft", "merged"), answer(loaded, 2, inputs))
    with cut(loaded.model, "svd") if with_cut else nullcontext():
        expected["cut"] = answer(loaded, 1, inputs)
    ranks = json.loads(budget.read_text())["ranks"]
    with cut(loaded.model, "svd"), truncated(loaded.model, ranks):
        expected |= dict.fromkeys(("budget", "budget-merged"), answer(loaded, 4, inputs))
    assert (expected["peft"]["logits"] - expected["cut"]["logits"]).abs().max() > 1e-5  # it has learned something
    assert len(set(ranks.values())) > 1  # ranks of their own
    return [
        {
            "folder": str(root / name),
            "head": kind not in WRITERS,
            "inputs": {key: value.tolist() for key, value in inputs.items()},
            "labels": list(loaded.labels),
        }
        for name in forms
    ], list(expected[name] for name in forms)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "images", *WRITERS])
def test_what_was_trained_and_exported_computes_the_same_without_this_package(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = {"csv": classifier, "images": images}.get(kind, lambda root: writer(root, kind))(tmp_path)
    capsys.readouterr()
    main(["choose", str(run)])
    assert "validation examples" in capsys.readouterr().out
    cases, expected = exported(tmp_path, run, kind)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    subprocess.run([sys.executable, "-c", _PLAIN], check=True, cwd=tmp_path)
    for case, wanted, found in zip(cases, expected, json.loads((tmp_path / "found.json").read_text()), strict=True):
        logits = torch.tensor(found["logits"])
        torch.testing.assert_close(logits, wanted["logits"], rtol=0, atol=1e-5, msg=case["folder"])
        assert not case["head"] or found["labels"] == case["labels"]
        assert ("text" in found) == ("text" in wanted) == (not case["head"])
        assert case["head"] or found["text"] == wanted["text"].tolist(), case["folder"]
