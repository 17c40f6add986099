"""Whole commands on images."""

import shutil
from pathlib import Path

import pytest
import tiny
import tiny_images
import torch
import yaml
from PIL import Image
from transformers import ViTImageProcessor

import dylora
from dylora.cli import main


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images, a backbone and a finished run; tests must not write into it."""
    root = tmp_path_factory.mktemp("images")
    tiny_images.write_folders(root / "images" / "train", 8)
    tiny_images.write_folders(root / "images" / "test", 3, first=50)
    tiny_images.save_backbone(root / "vit")
    main(["fit", *tiny_images.options(str(root / "vit"), root)])
    return root


@pytest.fixture
def run(images, tmp_path):
    """A copy of the run."""
    return shutil.copytree(images / "logs" / "images" / "version_0", tmp_path / "logs" / "images" / "version_0")


def test_fit_learns_and_leaves_a_run_with_metrics_at_every_rank(images):
    run = images / "logs" / "images" / "version_0"
    metrics = tiny.metrics_of(run)
    assert metrics["task"] == "images"
    assert set(metrics["best"]["metrics"]) == {"accuracy", "macro_f1", "matthews", "loss"}
    assert set(metrics["best"]["metrics"]["accuracy"]) == {"1", "2", "3", "4"}
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert "task" not in config["model"]["init_args"]
    assert "labels" not in config["model"]["init_args"]
    assert "backbone" not in config["data"]["init_args"]
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["dylora"]["labels"] == list(tiny_images.CLASSES)


def test_validate_gives_the_figures_of_the_run_at_any_rank(run, capsys):
    main(["validate", "--config", str(run / "config.yaml"), "--rank", "2"])
    expected = tiny.metrics_of(run)["best"]["metrics"]
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("loss"))
    assert float(line.split()[1]) == pytest.approx(expected["loss"]["2"], abs=1e-4)


def test_test_and_predict_agree(run, images, capsys):
    main(["test", "--config", str(run / "config.yaml"), "--rank", "1,4"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("accuracy"))
    main(["predict", "--config", str(run / "config.yaml"), "--rank", "1,4"])
    records = tiny.records_of(run / "predictions" / "test.jsonl")
    labels = [name for name in tiny_images.CLASSES for _ in range(3)]
    assert [record["index"] for record in records] == list(range(9))
    paths = [str(images / "images" / "test" / name / f"{place:03}.png") for name in labels[::3] for place in range(3)]
    assert [(record["path"], record["label"]) for record in records] == list(zip(paths, labels, strict=True))
    for place, rank in enumerate(("1", "4"), start=1):
        hits = [record["ranks"][rank]["label"] == label for record, label in zip(records, labels, strict=True)]
        assert float(line.split()[place]) == pytest.approx(sum(hits) / 9, abs=1e-4)


def test_predict_over_a_folder_without_classes(run, images):
    folder = images / "images" / "test" / "dark"
    main(["predict", "--config", str(run / "config.yaml"), "--data.predict_dir", str(folder)])
    assert len(tiny.records_of(run / "predictions" / "predict.jsonl")) == 3


def test_an_image_that_cannot_be_decoded_is_told_in_a_line_with_its_path(images, tmp_path, refused):
    folder = shutil.copytree(images / "images" / "train", tmp_path / "images" / "train")
    (folder / "dark" / "bad.png").write_bytes((folder / "dark" / "000.png").read_bytes()[:60])
    for workers in (0, 1):
        line = refused("fit", *tiny_images.options(str(images / "vit"), tmp_path, **{"data.num_workers": workers}))
        assert "data: must be images that can be decoded, got" in line
        assert str(folder / "dark" / "bad.png") in line
        assert not list((tmp_path / "logs").rglob("*"))


def test_data_that_no_image_model_fits_and_the_other_way_round(images, backbone, tmp_path, refused):
    line = refused("fit", *tiny.options(backbone, tmp_path, model="ImageClassificationModule"))
    assert (
        "--data: must be a data module of images for ImageClassificationModule (ImageClassificationDataModule)" in line
    )
    line = refused("fit", *tiny_images.options(str(images / "vit"), images, model="SequenceClassificationModule"))
    assert "got ImageClassificationDataModule; choose the data, or --model ImageClassificationModule" in line


def test_a_checkpoint_of_other_classes_is_refused(run, images, tmp_path, refused):
    folder = shutil.copytree(images / "images", tmp_path / "images")
    for split in ("train", "test"):
        (folder / split / "dark").rename(folder / split / "night")
    line = refused("validate", "--config", run / "config.yaml", "--data.data_dir", folder)
    assert f"one of the classes bright, dark, grey, got 'night' in {folder}" in line
    line = refused("validate", "--config", run / "config.yaml", "--data.labels", "[grey, dark, bright]")
    assert "trained on the classes of the data (grey, dark, bright), got one trained on bright, dark, grey" in line


@pytest.mark.slow
def test_a_run_resumed_in_the_middle_of_an_epoch_ends_in_the_same_weights(images, tmp_path):
    """24 images less 3 for validation: 6 batches an epoch; step 8 lies in the second."""
    shutil.copytree(images / "images", tmp_path / "images")
    options = tiny_images.options(str(images / "vit"), tmp_path)
    middle = tmp_path / "middle.ckpt"
    callback = ["--trainer.callbacks+=own_project.SaveAt", "--trainer.callbacks.step=8"]
    main(["fit", *options, *callback, f"--trainer.callbacks.path={middle}"])
    main(["fit", *options, f"--ckpt_path={middle}"])
    runs = [tmp_path / "logs" / "images" / f"version_{number}" for number in (0, 1)]
    first, second = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in runs)
    assert first["global_step"] == second["global_step"] == 12
    assert all(torch.equal(first["state_dict"][name], second["state_dict"][name]) for name in first["state_dict"])
    assert torch.load(middle, weights_only=True)["global_step"] == 8


def test_a_loaded_run_answers_what_predict_writes(run, images):
    main(["predict", "--config", str(run / "config.yaml"), "--rank", "1,4"])
    records = tiny.records_of(run / "predictions" / "test.jsonl")
    loaded = dylora.load(run)
    pictures = [Image.open(path).convert("RGB") for path in sorted((images / "images" / "test").glob("*/*.png"))]
    for rank in (1, 4):
        loaded.set_rank(rank)
        for answer, record in zip(loaded(pictures), records, strict=True):
            expected = record["ranks"][str(rank)]
            assert answer["label"] == expected["label"]
            assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def test_a_loaded_run_turns_and_colours_images_as_predict_does_and_takes_paths(run, tmp_path):
    """Of another size than the backbone's, too: the positions are interpolated."""
    folder, exif = tmp_path / "new", Image.Exif()
    folder.mkdir()
    exif[0x0112] = 6  # turned by a quarter
    ramp = Image.linear_gradient("L").resize((8, 8))  # from black above to white below
    ramp.save(folder / "turned.png", exif=exif)
    processor = Path(yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["backbone"])
    backbone = shutil.copytree(processor, tmp_path / "larger")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(backbone)
    for name in (processor, backbone):
        options = ["--config", str(run / "config.yaml"), "--model.backbone", str(name), "--rank", "4"]
        main(["predict", *options, "--data.predict_dir", str(folder), "--output", str(tmp_path / name.name)])
        (record,) = tiny.records_of(tmp_path / name.name / "predict.jsonl")
        loaded = dylora.load(run, backbone=str(name))
        for given in (folder / "turned.png", str(folder / "turned.png"), Image.open(folder / "turned.png")):
            expected = pytest.approx(record["ranks"]["4"]["probabilities"], abs=1e-5)
            assert loaded(given)["probabilities"] == expected
    assert record["path"] == str(folder / "turned.png")


def test_predict_text_is_refused_by_a_model_of_images(run, refused):
    line = refused("predict", "--config", run / "config.yaml", "--text", "a photo")
    assert "--text: must be left out for a model of images, got a photo; give --data.predict_dir DIR" in line


def test_an_evaluation_takes_the_classes_from_the_checkpoint(run, images, tmp_path):
    """Images of one class alone, whose id the data itself could not know."""
    folder = tmp_path / "new"
    for split in ("train", "validation", "test"):
        shutil.copytree(images / "images" / "test" / "grey", folder / split / "grey")
    main(["test", "--config", str(run / "config.yaml"), "--data.data_dir", str(folder)])
    main(["predict", "--config", str(run / "config.yaml"), "--data.data_dir", str(folder), "--output", str(tmp_path)])
    (record, *_) = tiny.records_of(tmp_path / "test.jsonl")
    assert record["label"] == "grey"
    assert list(record["ranks"]["4"]["probabilities"]) == list(tiny_images.CLASSES)


def test_choose_goes_by_what_was_kept_of_the_images(run, capsys):
    main(["choose"])
    assert "accuracy" in capsys.readouterr().out
