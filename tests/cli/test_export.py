"""From training to files of other libraries, which load in a process that does not know this package."""

import itertools
import json
import shutil
import subprocess
import sys
from contextlib import nullcontext

import pytest
import tiny
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

import dylora
from dylora.adapters.active_rank import set_rank
from dylora.adapters.cuts import cut
from dylora.cli import main
from dylora.data.glue import GLUEDataModule
from dylora.deploy.trained import load_trained

_PLAIN = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

found = {}
for kind, folder in json.loads(sys.argv[1]).items():
    if kind == "peft":
        base = json.load(open(f"{folder}/adapter_config.json"))["base_model_name_or_path"]
        config = AutoConfig.from_pretrained(folder)
        base = AutoModelForSequenceClassification.from_pretrained(base, config=config)
        model = PeftModel.from_pretrained(base, folder)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
    rows = AutoTokenizer.from_pretrained(folder)(["good cheap food", "the river"], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**rows).logits.tolist()
    found[kind] = {"logits": logits, "labels": list(model.config.id2label.values())}
assert "dylora" not in sys.modules
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def run(trained):
    return trained / "logs" / "restaurants" / "version_0"


@torch.no_grad()
def our_logits(run, rank, folder):
    model = load_trained(run).predictor.model
    set_rank(model, rank)
    rows = AutoTokenizer.from_pretrained(folder)(["good cheap food", "the river"], padding=True, return_tensors="pt")
    return model(**rows).logits


@pytest.mark.slow
def test_a_run_exported_twice_loads_without_this_package_and_computes_the_same(run, tmp_path, capsys):
    folders = {kind: str(tmp_path / kind) for kind in ("peft", "merged")}
    for kind, folder in folders.items():
        main(["export", str(run), "--rank", "3", "--format", kind, "--output", folder])
        assert capsys.readouterr().out.endswith(f"Written: {folder}\n")
    command = [sys.executable, "-c", _PLAIN, json.dumps(folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    expected = our_logits(run, 3, folders["peft"])
    for found in json.loads(done.stdout).values():
        torch.testing.assert_close(torch.tensor(found["logits"]), expected, rtol=0, atol=1e-5)
        assert found["labels"] == ["entailment", "not_entailment"]


def test_every_rank_has_a_folder_and_a_card_of_its_own(run, tmp_path, capsys):
    main(["export", str(run), "--rank", "all", "--output", str(tmp_path / "out"), "--cut", "alpha/max_rank"])
    folders = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert folders == ["rank_1", "rank_2", "rank_3", "rank_4"]
    for rank in (1, 2, 3, 4):
        weights = load_file(tmp_path / "out" / f"rank_{rank}" / "adapter_model.safetensors")
        assert {len(value) for name, value in weights.items() if ".lora_A." in name} == {rank}
        config = json.loads((tmp_path / "out" / f"rank_{rank}" / "adapter_config.json").read_text())
        assert config["lora_alpha"] == 16 / 4 * rank


def test_the_card_has_the_figures_the_command_and_lines_that_run(run, tmp_path, monkeypatch):
    output = tmp_path / "out"
    main(["export", str(run), "--rank=2", "--format=merged", "--output", str(output), "--dtype", "bfloat16"])
    text = (output / "README.md").read_text()
    last, chosen = tiny.metrics_of(run)["best"]["metrics"]["accuracy"], tiny.metrics_of(run)["chosen"]
    for rank, value in last.items():
        low, high = chosen["ranks"][rank]["interval"]
        assert f"| {rank} | {value:.4f} | {low:.4f} to {high:.4f} |" in text
    assert f"chosen rank: {chosen['rank']}. {chosen['statement']}" in text
    assert (output / "rank_curve.png").read_bytes().startswith(b"\x89PNG")
    assert "--rank=2 --format=merged" in text
    assert text.startswith("---\nlibrary_name: transformers\ntags:\n- lora\n")
    names = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    assert names["model"].dtype == torch.bfloat16
    assert names["model"].config.label2id == {"entailment": 0, "not_entailment": 1}


def test_a_checkpoint_can_be_named_and_the_newest_run_is_taken(run, tmp_path, monkeypatch, capsys):
    main(["export", str(run / "checkpoints" / "last.ckpt"), "--rank", "1", "--output", str(tmp_path / "one")])
    assert "checkpoint last.ckpt" in capsys.readouterr().out
    monkeypatch.chdir(run.parents[2])
    main(["export", "--rank", "1", "--output", str(tmp_path / "two")])
    assert (tmp_path / "two" / "adapter_config.json").is_file()


def test_bad_input_is_told_in_one_line_and_nothing_is_written(run, tmp_path, refused):
    (tmp_path / "there").mkdir()
    new = tmp_path / "new"
    assert "--output: must be a new folder" in refused("export", run, "--rank", "1", "--output", tmp_path / "there")
    assert "--rank: must be among the adapter's ranks 1 to 4, got 5" in refused(
        "export", run, "--rank", "5", "--output", new
    )
    assert "--cut: must be one of" in refused("export", run, "--rank", "1", "--output", new, "--cut", "half")
    assert "--cut_examples: must be 1 or more, got 0" in refused(
        "export", run, "--rank", "1", "--output", new, "--cut", "two-sided", "--cut_examples", "0"
    )
    assert "--dtype: must be left out but for --format merged" in refused(
        "export", run, "--rank", "1", "--output", new, "--dtype", "float16"
    )
    assert "--push_to_hub: must be USER/NAME" in refused(
        "export", run, "--rank", "1", "--output", new, "--push_to_hub", "a/b/c"
    )
    content = (run / "checkpoints" / "best.ckpt").read_bytes()
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(content[: len(content) // 2])
    assert "corrupt, truncated" in refused("export", damaged, "--rank", "1", "--output", new)
    assert "does not exist" in refused("export", tmp_path / "none.ckpt", "--rank", "1", "--output", new)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.ckpt", "there"]


@pytest.mark.parametrize("kind", [None, "svd", "alpha/b"])
@torch.no_grad()
def test_a_folder_of_all_ranks_gives_each_of_them_and_is_exported_again(kind, run, tmp_path):
    output, again = tmp_path / "all", tmp_path / "again"
    main(["export", str(run), "--format", "dylora", "--output", str(output), *(["--cut", kind] if kind else [])])
    ours, loaded = load_trained(run).predictor, dylora.load(output)
    rows = loaded.tokenizer(["good cheap food", "the river"], padding=True, return_tensors="pt")
    for rank in (1, 2, 4):
        with cut(ours.model, kind) if kind else nullcontext():
            set_rank(ours.model, rank)
            expected = ours.model(**rows).logits
        loaded.set_rank(rank)
        torch.testing.assert_close(loaded.model(**rows).logits, expected, rtol=0, atol=1e-6)
    assert loaded.labels == ("entailment", "not_entailment")
    assert f'dylora.load("{output}", rank=1)' in (output / "README.md").read_text()
    main(["export", str(output), "--rank", "2", "--output", str(again)])
    config = json.loads((again / "adapter_config.json").read_text())
    assert config["r"] == 2


@pytest.mark.filterwarnings("ignore")  # PEFT's
@pytest.mark.parametrize("kind", ["two-sided", "learned"])
@torch.no_grad()
def test_a_cut_that_needs_data_takes_the_runs_own(run, tmp_path, capsys, refused, kind):
    """The exported rank gives the validation figures of `validate --cut` at that rank."""
    output, several = tmp_path / "one", tmp_path / "all"
    cut = ["--cut", kind, "--cut_examples", "40"]
    main(["export", str(run), "--rank", "2", *cut, "--output", str(output)])
    said = capsys.readouterr().out
    assert f"Cut {kind}: statistics over 40 training examples in" in said
    assert ("Cut learned: 100 training batches in" in said) == (kind == "learned")
    main(["export", str(run), "--format", "dylora", *cut, "--output", str(several)])
    loaded = dylora.load(several, rank=2)
    config = AutoConfig.from_pretrained(output)
    backbone = json.loads((output / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = AutoModelForSequenceClassification.from_pretrained(backbone, config=config)
    model = PeftModel.from_pretrained(base, output).eval()
    data = GLUEDataModule("restaurants", backbone=backbone, max_length=24, cache_dir=str(tmp_path / "cache"))
    data.setup("validate")
    losses = []
    for batch in itertools.islice(data.val_dataloader()[0], 3):
        rows = {key: batch[key] for key in ("input_ids", "attention_mask")}
        torch.testing.assert_close(model(**rows).logits, loaded.model(**rows).logits, rtol=0, atol=1e-5)
        losses.append(torch.nn.functional.cross_entropy(model(**rows).logits, batch["labels"], reduction="none"))
    capsys.readouterr()
    copy = shutil.copytree(run, tmp_path / "copy")
    main(["validate", "--config", str(copy / "config.yaml"), "--rank", "2", *cut])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("loss "))
    assert float(row.split()[1]) == pytest.approx(float(torch.cat(losses).mean()), abs=1e-4)
    line = refused("export", several, "--rank", "1", "--output", tmp_path / "new", "--cut", kind)
    assert f"--cut: must be another than {kind} for a folder without a run" in line


def test_a_folder_of_all_ranks_takes_no_rank(run, tmp_path, refused):
    line = refused("export", run, "--rank", "2", "--format", "dylora", "--output", tmp_path / "new")
    assert "--rank: must be all for --format dylora" in line


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_ranks_are_swapped_in_one_model_of_peft(run, tmp_path):
    output = tmp_path / "adapters"
    main(["export", str(run), "--rank", "1,3", "--output", str(output)])
    config = AutoConfig.from_pretrained(output / "rank_1")
    backbone = json.loads((output / "rank_1" / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = AutoModelForSequenceClassification.from_pretrained(backbone, config=config)
    model = PeftModel.from_pretrained(base, output / "rank_1", adapter_name="rank_1")
    model.load_adapter(output / "rank_3", adapter_name="rank_3")
    rows = AutoTokenizer.from_pretrained(backbone)(["good cheap food", "the river"], padding=True, return_tensors="pt")
    for rank in (3, 1):
        model.set_adapter(f"rank_{rank}")
        expected = our_logits(run, rank, backbone)
        torch.testing.assert_close(model.eval()(**rows).logits, expected, rtol=0, atol=1e-5)
