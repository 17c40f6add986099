"""LoRAs that PEFT trained become folders of dylora, which load at every rank and are exported again."""

import json

import pytest
import tiny
import tiny_images
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

import dylora
from dylora.assets import asset_path
from dylora.cli import main

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's
ROWS = ["good cheap food", "the river"]


def peft_folder(auto, base, folder, **options):
    """A LoRA with random factors and a random head, saved by PEFT; gives PEFT's model."""
    torch.manual_seed(0)
    config = LoraConfig(r=3, lora_alpha=5, **options)
    model = get_peft_model(auto.from_pretrained(base), config).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.2
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    root = tmp_path_factory.mktemp("convert")
    base = tiny.save_backbone(root / "base")
    model = peft_folder(AutoModelForSequenceClassification, base, root / "peft", task_type="SEQ_CLS", use_rslora=True)
    return model, base, root / "peft"


@torch.no_grad()
def test_a_classifier_keeps_its_function_and_is_exported_again_at_a_lower_rank(classifier, tmp_path, capsys):
    model, base, peft = classifier
    main(["convert", str(peft), "--output", str(tmp_path / "out")])
    assert capsys.readouterr().out == f"Written: {tmp_path / 'out'} (ranks 1 to 3, 4 layers)\n"
    loaded = dylora.load(tmp_path / "out")
    rows = AutoTokenizer.from_pretrained(base)(ROWS, padding=True, return_tensors="pt")
    torch.testing.assert_close(loaded.model(**rows).logits, model(**rows).logits, rtol=0, atol=1e-5)
    main(["export", str(tmp_path / "out"), "--rank", "1", "--output", str(tmp_path / "one")])
    assert json.loads((tmp_path / "one" / "adapter_config.json").read_text())["r"] == 1


@pytest.mark.parametrize("calibrated", [False, True])
@torch.no_grad()
def test_a_language_model_writes_the_same(calibrated, tmp_path):
    base = str(asset_path("gpt2"))
    model = peft_folder(AutoModelForCausalLM, base, tmp_path / "peft", task_type="CAUSAL_LM", fan_in_fan_out=True)
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join([*ROWS, "", "a place near the river serves food"]))
    options = ["--calibrate", str(texts)] if calibrated else []
    main(["convert", str(tmp_path / "peft"), "--output", str(tmp_path / "out"), *options])
    loaded = dylora.load(tmp_path / "out")
    rows = AutoTokenizer.from_pretrained(base)(ROWS[0], return_tensors="pt")
    torch.testing.assert_close(loaded.model(**rows).logits, model(**rows).logits, rtol=0, atol=1e-4)
    ours, theirs = (m.generate(**rows, max_new_tokens=8, do_sample=False) for m in (loaded.model, model))
    assert torch.equal(ours, theirs)


def test_bad_input_is_told_in_one_line_and_nothing_is_written(classifier, tmp_path, refused):
    _, base, peft = classifier
    new = tmp_path / "new"
    assert "--output: must be a new folder" in refused("convert", peft, "--output", tmp_path)
    assert "a folder with adapter_config.json" in refused("convert", base, "--output", new)
    other = tiny.save_backbone(tmp_path / "wide", hidden_size=32)
    line = refused("convert", peft, "--output", new, "--backbone", other)
    assert "PEFT_DIR: must be an adapter of this base model" in line
    broken = tmp_path / "broken"
    broken.mkdir()
    content = (peft / "adapter_model.safetensors").read_bytes()
    (broken / "adapter_config.json").write_bytes((peft / "adapter_config.json").read_bytes())
    (broken / "adapter_model.safetensors").write_bytes(content[: len(content) // 2])
    assert "a damaged one" in refused("convert", broken, "--output", new)
    (broken / "adapter_model.safetensors").write_bytes(content)
    config = json.loads((peft / "adapter_config.json").read_text())
    (broken / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    assert "PEFT_DIR: must be a plain LoRA, got DoRA" in refused("convert", broken, "--output", new)
    assert "--calibrate: must be a text file" in refused(
        "convert", peft, "--output", new, "--calibrate", tmp_path / "none.txt"
    )
    assert not list(tmp_path.glob("new*"))


@torch.no_grad()
def test_pairs_divided_by_a_tab_weigh_the_cut_as_pairs(classifier, tmp_path):
    """Lines with two sentences give another order of components than their first sentences alone."""
    _, base, peft = classifier
    pairs = ["good cheap food\tthe river is near", "the river\ta place for food", "a pub\tnear the city"]
    found = []
    for name, lines in (("pairs", pairs), ("first", [line.split("\t")[0] for line in pairs])):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
        main(["convert", str(peft), "--output", str(tmp_path / name), "--calibrate", str(tmp_path / f"{name}.txt")])
        found.append(dylora.load(tmp_path / name))
    rows = AutoTokenizer.from_pretrained(base)(ROWS, padding=True, return_tensors="pt")
    full, one = ([each.set_rank(rank).model(**rows).logits for each in found] for rank in (3, 1))
    torch.testing.assert_close(full[0], full[1], rtol=0, atol=1e-5)
    assert (one[0] - one[1]).abs().max() > 1e-6


@torch.no_grad()
def test_a_data_module_weighs_the_cut_and_the_card_says_so(classifier, tmp_path):
    model, base, peft = classifier
    rows = [f'"{word} food","{["bad", "good"][n % 2]}"' for n, word in enumerate(["cheap", "dear", "good", "some"] * 3)]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    data = ["--data", "TextClassificationDataModule", "--data.train_file", tmp_path / "own.csv"]
    data += ["--data.cache_dir", tmp_path / "cache"]
    main(["convert", str(peft), "--output", str(tmp_path / "weighed"), *map(str, data)])
    main(["convert", str(peft), "--output", str(tmp_path / "plain")])
    weighed, plain = (dylora.load(tmp_path / name) for name in ("weighed", "plain"))
    batch = AutoTokenizer.from_pretrained(base)(ROWS, padding=True, return_tensors="pt")
    torch.testing.assert_close(weighed.model(**batch).logits, model(**batch).logits, rtol=0, atol=1e-5)
    one = [each.set_rank(1).model(**batch).logits for each in (weighed, plain)]
    assert (one[0] - one[1]).abs().max() > 1e-6
    text = (tmp_path / "weighed" / "README.md").read_text()
    assert "made of a LoRA that PEFT trained" in text
    assert "| sorted by | the learned cut, on TextClassificationDataModule |" in text
    assert "--data TextClassificationDataModule" in text
    assert "| sorted by | singular value |" in (tmp_path / "plain" / "README.md").read_text()


def test_wrong_data_is_told_in_one_line(classifier, tmp_path, refused):
    _, _, peft = classifier
    start = ("convert", peft, "--output", tmp_path / "new")
    assert "--data: must be a class path" in refused(*start, "--data", "TextClasificationDataModule")
    text = ("--data", "TextClassificationDataModule", "--data.train_file", tmp_path / "none.csv")
    assert "data.train_file: must be a file" in refused(*start, *text)
    assert "--data.train_fil: the chosen data has no such option" in refused(*start, *text[:2], "--data.train_fil", "x")
    assert "--calibrate: must be left out with --data" in refused(*start, *text, "--calibrate", tmp_path / "a.txt")
    assert "--order_steps: must be 0 or more, got -1" in refused(*start, *text, "--order_steps", "-1")
    assert not (tmp_path / "new").exists()


@torch.no_grad()
def test_a_learned_order_says_more_of_what_the_whole_lora_says(tmp_path):
    """Below its own rank, the divergence from the whole LoRA on the texts falls from that of the two-sided cut."""
    base = str(asset_path("gpt2"))
    model = peft_folder(AutoModelForCausalLM, base, tmp_path / "peft", task_type="CAUSAL_LM", fan_in_fan_out=True)
    lines = [f"name : {name} | food : {food}" for name in ("Aromi", "Cotto", "Zizzi") for food in ("Thai", "French")]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    tokenizer = AutoTokenizer.from_pretrained(base)
    found = {}
    for steps in (0, 100):
        options = ["--calibrate", str(tmp_path / "texts.txt"), "--order_steps", str(steps)]
        main(["convert", str(tmp_path / "peft"), "--output", str(tmp_path / str(steps)), *options])
        loaded, total = dylora.load(tmp_path / str(steps)), 0.0
        for line in lines:
            rows = tokenizer(line, return_tensors="pt")
            whole = model(**rows).logits.log_softmax(-1)
            for rank in (1, 2):
                cut = loaded.set_rank(rank).model(**rows).logits.log_softmax(-1)
                total += float((whole.exp() * (whole - cut)).sum())
        found[steps] = total
        kind = "learned" if steps else "two-sided"
        assert f"| sorted by | the {kind} cut, on " in (tmp_path / str(steps) / "README.md").read_text()
    assert found[100] < 0.8 * found[0]


@torch.no_grad()
def test_a_model_of_images_is_converted_by_both_cuts(tmp_path):
    base = tiny_images.save_backbone(tmp_path / "vit")
    torch.manual_seed(0)
    labels = {"num_labels": 3, "ignore_mismatched_sizes": True}
    bare = AutoModelForImageClassification.from_pretrained(base, **labels)
    config = LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    model = get_peft_model(bare, config).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.2
    model.save_pretrained(tmp_path / "peft")
    tiny_images.write_folders(tmp_path / "images" / "train", 8)
    data = ["--data", "ImageClassificationDataModule", "--data.data_dir", str(tmp_path / "images")]
    pixels = torch.randn(2, 3, 8, 8)
    for name, options in (("plain", []), ("weighed", [*data, "--data.cache_dir", str(tmp_path / "cache")])):
        main(["convert", str(tmp_path / "peft"), "--output", str(tmp_path / name), *options])
        loaded = dylora.load(tmp_path / name)
        torch.testing.assert_close(
            loaded.model(pixel_values=pixels).logits, model(pixel_values=pixels).logits, rtol=0, atol=1e-5
        )
        assert loaded.kind == "images"
