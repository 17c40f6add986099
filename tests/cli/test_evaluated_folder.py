"""`validate`, `test` and `predict` take a folder of dylora in the place of a run's checkpoint."""

import json

import pytest
import tiny
import tiny_images
import tiny_text
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

import dylora
from dylora.adapters.cuts import cut
from dylora.cli import main
from dylora.runs.outcomes_file import read_outcomes

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's
TEXTS = [f"{a} {b}" for a in ("cheap", "dear", "good", "some") for b in ("food", "pub", "river", "place")]
LABELS = ["bad", "good"]


def peft_folder(model, folder, **options):
    """A LoRA of rank 3 with random factors, and head if it has one, saved by PEFT."""
    torch.manual_seed(0)
    model = get_peft_model(model, LoraConfig(r=3, lora_alpha=5, **options)).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """Options of a data set of one's own, of which the labels alternate."""
    root = tmp_path_factory.mktemp("own")
    rows = [f'"{text}","{LABELS[n % 2]}"' for n, text in enumerate(TEXTS)]
    for name in ("train", "val"):
        (root / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    files = ["--data.train_file", root / "train.csv", "--data.validation_file", root / "val.csv", "--data.test_file"]
    data = ["--data", "TextClassificationDataModule", *files, root / "val.csv", "--data.cache_dir", root / "cache"]
    return [*map(str, data), "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="module")
def elastic(tmp_path_factory):
    """A classifier's LoRA, converted."""
    root = tmp_path_factory.mktemp("elastic")
    base = AutoModelForSequenceClassification.from_pretrained(tiny.save_backbone(root / "base"))
    peft_folder(base, root / "peft", task_type="SEQ_CLS")
    main(["convert", str(root / "peft"), "--output", str(root / "elastic")])
    return root / "elastic"


def expected_classes(predictor, rank):
    predictor.labels = LABELS
    return [list(LABELS).index(each["label"]) for each in predictor.set_rank(rank)(TEXTS)]


@pytest.mark.parametrize("kind", [None, "svd", "two-sided"])
def test_a_converted_lora_is_evaluated_as_load_predicts_at_every_rank(kind, elastic, own_data, tmp_path, capsys):
    before = {path: path.read_bytes() for path in elastic.iterdir()}
    options = ["--cut", kind] if kind else []
    command = ["validate", "--ckpt_path", str(elastic), *own_data, "--rank", "all", *options]
    main([*command, "--output", str(tmp_path / "kept")])
    assert f"python -m dylora choose {tmp_path / 'kept'}" in capsys.readouterr().out
    kept = read_outcomes(tmp_path / "kept" / "outcomes.npz").kept
    assert kept.ranks == (1, 2, 3)
    predictor = dylora.load(elastic)
    expected = [index % 2 for index in range(len(TEXTS))]
    figures = json.loads((tmp_path / "kept" / "validation.json").read_text())["metrics"]["accuracy"]
    for place, rank in enumerate(kept.ranks):
        if kind == "two-sided" and rank < 3:
            continue  # weighed by the data, so that there is nothing to compare it with
        if kind == "svd":
            with cut(predictor.model, kind):
                found = [LABELS[n] for n in expected_classes(predictor, rank)]
        else:
            found = [LABELS[n] for n in expected_classes(predictor, rank)]
        right = [LABELS[truth] == label for truth, label in zip(expected, found, strict=True)]
        assert kept.values[place].reshape(-1).astype(int).tolist() == [LABELS.index(label) for label in found]
        assert figures[str(rank)] == pytest.approx(sum(right) / len(right))
    assert {path: path.read_bytes() for path in elastic.iterdir()} == before
    main(["choose", str(tmp_path / "kept")])
    assert f"{len(TEXTS)} validation examples" in capsys.readouterr().out


def test_without_output_the_table_is_printed_and_nothing_is_written(elastic, own_data, tmp_path, capsys):
    main(["validate", "--ckpt_path", str(elastic), *own_data, "--rank", "2"])
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "Not kept" in out
    main(["test", "--ckpt_path", str(elastic), *own_data])
    assert "accuracy" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_predictions_go_where_output_says(elastic, own_data, tmp_path):
    file = tmp_path / "new.csv"
    file.write_text("text\n" + "\n".join(TEXTS[:3]) + "\n")
    predict = ["predict", "--ckpt_path", str(elastic), *own_data, "--data.predict_file", str(file)]
    main([*predict, "--output", str(tmp_path / "said")])
    (path,) = (tmp_path / "said").glob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    predictor = dylora.load(elastic)
    predictor.labels = LABELS
    for rank in (1, 2, 3):
        expected = [each["label"] for each in predictor.set_rank(rank)(TEXTS[:3])]
        assert [row["ranks"][str(rank)]["label"] for row in rows] == expected


def test_an_exported_run_is_evaluated_as_the_run(trained, backbone, tmp_path, capsys):
    run = trained / "logs" / "restaurants" / "version_0"
    main(["export", str(run), "--format", "dylora", "--output", str(tmp_path / "all")])
    figures = []
    for place in (tmp_path / "all", run):  # the configuration says the data, the folder the model
        options = ["--ckpt_path", str(place), "--config", str(run / "config.yaml")]
        capsys.readouterr()
        main(["validate", *options, "--output", str(tmp_path / f"of_{place.name}")])
        figures.append(json.loads((tmp_path / f"of_{place.name}" / "validation.json").read_text())["metrics"])
    assert figures[0] == figures[1]


def test_a_folder_of_a_language_model(tmp_path):
    base = AutoModelForCausalLM.from_pretrained(tiny_text.save_writer(tmp_path / "gpt2"))
    peft_folder(base, tmp_path / "peft", task_type="CAUSAL_LM", fan_in_fan_out=True)
    main(["convert", str(tmp_path / "peft"), "--output", str(tmp_path / "elastic")])
    (tmp_path / "rows.jsonl").write_text('{"prompt": "good food", "completion": " near the river"}\n' * 3)
    data = ["--data", "PromptDataModule", "--data.test_file", tmp_path / "rows.jsonl"]
    data += ["--data.train_file", tmp_path / "rows.jsonl", "--data.validation_file", tmp_path / "rows.jsonl"]
    data += ["--data.cache_dir", tmp_path / "cache", "--trainer.enable_progress_bar", "false"]
    options = ["--ckpt_path", tmp_path / "elastic", *data, "--trainer.accelerator", "cpu"]
    main(["validate", *map(str, options), "--output", str(tmp_path / "kept")])
    main(["predict", *map(str, options), "--output", str(tmp_path / "said")])
    (path,) = (tmp_path / "said").glob("*.jsonl")
    row = json.loads(path.read_text().splitlines()[0])
    assert read_outcomes(tmp_path / "kept" / "outcomes.npz").kept.kind == "tokens"
    assert set(row["ranks"]) == {"1", "2", "3"}


def test_a_folder_of_a_model_of_images(tmp_path):
    base = tiny_images.save_backbone(tmp_path / "vit")
    bare = AutoModelForImageClassification.from_pretrained(base, num_labels=3, ignore_mismatched_sizes=True)
    lora = {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]}
    peft_folder(bare, tmp_path / "peft", **lora)
    main(["convert", str(tmp_path / "peft"), "--output", str(tmp_path / "elastic")])
    for split in ("train", "val"):
        tiny_images.write_folders(tmp_path / "images" / split, 6)
    data = ["--data", "ImageClassificationDataModule", "--data.data_dir", tmp_path / "images"]
    data += ["--data.cache_dir", tmp_path / "cache", "--trainer.enable_progress_bar", "false"]
    main(["validate", "--ckpt_path", *map(str, [tmp_path / "elastic", *data]), "--output", str(tmp_path / "kept")])
    kept = read_outcomes(tmp_path / "kept" / "outcomes.npz").kept
    assert kept.ranks == (1, 2, 3)
    assert kept.kind == "classes"


def test_a_kept_head_and_a_backbone_in_half_precision(tmp_path, own_data):
    """What is frozen is the backbone's own: its head, which was not trained, and its type."""
    name = tiny.save_backbone(tmp_path / "base")
    tuned = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2)
    tuned.save_pretrained(tmp_path / "tuned")
    tokenizer = AutoTokenizer.from_pretrained(name)
    tokenizer.save_pretrained(tmp_path / "tuned")
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "tuned", dtype=torch.bfloat16)
    model = dylora.adapt(base, dylora.DyLoRAConfig(max_rank=2, alpha=4))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter)
    dylora.save(model, tmp_path / "own", preprocessor=tokenizer, labels=LABELS)
    main(["validate", "--ckpt_path", str(tmp_path / "own"), *own_data, "--output", str(tmp_path / "kept")])
    kept, predictor = read_outcomes(tmp_path / "kept" / "outcomes.npz").kept, dylora.load(tmp_path / "own")
    for place, rank in enumerate(kept.ranks):
        assert kept.values[place].reshape(-1).astype(int).tolist() == expected_classes(predictor, rank)


def test_what_does_not_fit_is_told_in_one_line(elastic, own_data, tmp_path, refused):
    start = ("validate", "--ckpt_path", elastic)
    assert "--rank: must be" in refused(*start, *own_data, "--rank", "9")
    other = tiny.save_backbone(tmp_path / "other", seed=5)
    assert "the backbone" in refused(*start, *own_data, "--model.backbone", other)
    scores = tmp_path / "scores.csv"
    scores.write_text("text,label\n" + "\n".join(f'"{text}",{n}.5' for n, text in enumerate(TEXTS)) + "\n")
    files = ("--data.train_file", scores, "--data.validation_file", scores)
    line = refused(*start, "--data", "TextClassificationDataModule", *files, "--data.task_type", "regression")
    assert "--data: must be data for a head with 2 outputs" in line
    assert "--data: must be a data module of sentences" in refused(*start, "--data", "RestaurantTextDataModule")
    assert "--output: must be given for a folder of dylora" in refused("predict", "--ckpt_path", elastic, *own_data)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "outcomes.npz").write_text("")
    assert "without an evaluation" in refused(*start, *own_data, "--output", tmp_path / "kept")
    assert "a folder with each example's outcomes" in refused("choose", elastic)
    assert "python -m dylora convert" in refused("validate", "--ckpt_path", elastic.parent / "peft", *own_data)
    assert "which holds config.json" in refused("validate", "--ckpt_path", elastic.parent / "base", *own_data)
