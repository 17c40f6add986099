"""The data module of images."""

import pytest
import tiny_images
import torch

from dylora.data.image_classification import ImageClassificationDataModule
from dylora.errors import InputError


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return tiny_images.save_backbone(tmp_path_factory.mktemp("data") / "vit")


@pytest.fixture
def folder(tmp_path):
    return tiny_images.write_folders(tmp_path / "images", 10)


def _module(backbone, **options):
    return ImageClassificationDataModule(backbone, **{"train_batch_size": 4, **options})


def _all(loader):
    batches = list(loader)
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def test_a_share_of_each_class_is_set_aside_whatever_the_seed_of_training(backbone, folder):
    seen = []
    for seed in (1, 2):
        data = _module(backbone, data_dir=str(folder), validation_share=0.3, seed=seed, flip=False, crop_padding=0)
        assert (data.labels, data.name, data.task_name) == (list(tiny_images.CLASSES), "images", "images")
        validation, train = _all(data.val_dataloader()[0]), _all(data.train_dataloader())
        assert validation["labels"].bincount().tolist() == [3, 3, 3]
        assert train["labels"].bincount().tolist() == [7, 7, 7]
        assert sorted(validation["index"].tolist()) == list(range(9))
        rows = torch.cat([train["pixel_values"], validation["pixel_values"]]).flatten(1)
        assert len(rows.unique(dim=0)) == 30
        seen.append((validation["pixel_values"], train["index"].tolist()))
    assert torch.equal(seen[0][0], seen[1][0])
    assert seen[0][1] != seen[1][1]
    other = _module(backbone, data_dir=str(folder), validation_share=0.3, split_seed=1)
    assert not torch.equal(_all(other.val_dataloader()[0])["pixel_values"], seen[0][0])


def test_folders_and_parquet_give_the_same_batches(backbone, folder, tmp_path):
    file = tiny_images.write_parquet(tmp_path / "images.parquet", folder)
    modules = [
        _module(backbone, data_dir=str(folder)),
        _module(backbone, train_file=str(file), cache_dir=str(tmp_path / "cache")),
    ]
    assert modules[0].labels == modules[1].labels
    for name in ("train_dataloader", "val_dataloader"):
        first, second = (getattr(module, name)() for module in modules)
        ours, theirs = (_all(loader[0] if isinstance(loader, list) else loader) for loader in (first, second))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_workers_change_nothing(backbone, folder):
    loaders = [_module(backbone, data_dir=str(folder), num_workers=workers).train_dataloader() for workers in (0, 2)]
    for epoch in (0, 1):
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
        ours, theirs = map(_all, loaders)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_same_image_differs_from_epoch_to_epoch(backbone, folder):
    loader = _module(backbone, data_dir=str(folder)).train_dataloader()
    by_epoch = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        batch = _all(loader)
        by_epoch.append(batch["pixel_values"][batch["index"].argsort()])
    assert 0 < sum(torch.equal(a, b) for a, b in zip(*by_epoch, strict=True)) + 1 < 27


def test_predictions_run_over_the_test_images_a_split_or_a_folder_without_classes(backbone, tmp_path):
    folder = tmp_path / "images"
    tiny_images.write_folders(folder / "train", 6)
    tiny_images.write_folders(folder / "test", 1, first=50)
    data = _module(backbone, data_dir=str(folder), predict_dir=str(folder / "test" / "dark"))
    assert data.split_names("predict") == ("predict",)
    assert "labels" not in _all(data.predict_dataloader()[0])
    assert _module(backbone, data_dir=str(folder)).split_names("predict") == ("test",)
    assert _module(backbone, data_dir=str(folder / "train")).split_names("predict") == ("validation",)


def test_without_test_images(backbone, folder):
    data = _module(backbone, data_dir=str(folder))
    with pytest.raises(InputError, match=r"^data: must be images with classes to test on, got none; give some, or"):
        data.parts("test")


def test_with_labels_given_no_training_images_are_needed(backbone, tmp_path):
    tiny_images.write_folders(tmp_path / "test", 1)
    data = _module(backbone, data_dir=str(tmp_path), labels=["grey", "dark", "bright"])
    batch = _all(data.test_dataloader()[0])
    assert batch["labels"].tolist() == [2, 1, 0]


def test_one_class_alone_is_refused(backbone, tmp_path):
    tiny_images.write_folders(tmp_path / "images", 2)
    with pytest.raises(InputError, match=r"^data: must be training images of two classes or more, got 'images' alone"):
        _ = _module(backbone, data_dir=str(tmp_path)).labels


def test_a_class_that_nothing_is_trained_on_is_refused(backbone, tmp_path):
    for name in ("train", "validation"):
        tiny_images.write_folders(tmp_path / name, 2)
    (tmp_path / "validation" / "dark").rename(tmp_path / "validation" / "darc")
    words = r"must be one of the classes bright, dark, grey, got 'darc' in .*validation; correct"
    with pytest.raises(InputError, match=words):
        _ = _module(backbone, data_dir=str(tmp_path)).labels


def test_a_share_without_an_image_is_refused(backbone, folder):
    with pytest.raises(InputError, match=r"^data.validation_share: must be a share that is an image or more of the 30"):
        _ = _module(backbone, data_dir=str(folder), validation_share=0.01).labels


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "data: must be given by one of --data.data_dir or .*, got none"),
        ({"data_dir": "a", "train_file": "b"}, "got --data.data_dir and --data.train_file"),
        ({"data_dir": "a", "validation_share": 1.0}, "data.validation_share: must be above 0 and below 1, got 1.0"),
        ({"data_dir": "a", "crop_padding": -0.1}, r"data.crop_padding: must be from 0 to 1, got -0\.1"),
        ({"data_dir": "a", "train_batch_size": 0}, "data.train_batch_size: must be at least 1, got 0"),
    ],
)
def test_unusable_options(backbone, options, words):
    with pytest.raises(InputError, match=words):
        _module(backbone, **options)
