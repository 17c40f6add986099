"""Images in Parquet files and sets of the hub."""

import numpy as np
import pytest
import tiny_images
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

from dylora.backbones import hub_logs
from dylora.data.images import decode
from dylora.data.sources import image_tables
from dylora.data.sources.hub_table import HubSet
from dylora.data.sources.image_tables import read_hub, read_parquet
from dylora.errors import InputError


@pytest.fixture
def folder(tmp_path):
    return tiny_images.write_folders(tmp_path / "all", 2)


def _read(path, tmp_path, **columns):
    names = {"image_column": "image", "label_column": "label", **columns}
    return read_parquet({"train": str(path)}, **names, cache_dir=tmp_path / "cache")["train"]


def test_the_images_of_a_parquet_file_to_the_pixel(folder, tmp_path):
    split = _read(tiny_images.write_parquet(tmp_path / "a.parquet", folder), tmp_path)
    assert split.classes == tiny_images.CLASSES
    assert split.labels == ("bright", "bright", "dark", "dark", "grey", "grey")
    for place, name in enumerate(split.labels):
        image = decode(split.rows[place]["image"], "row")
        assert np.array_equal(np.asarray(image), tiny_images.pixels(name, place % 2))


def test_columns_of_other_names(folder, tmp_path):
    path = tiny_images.write_parquet(tmp_path / "a.parquet", folder, ("img", "kind"))
    assert _read(path, tmp_path, image_column="img", label_column="kind").rows.column_names == ["image"]
    with pytest.raises(InputError, match=r"data.image_column: must be a column of .*a.parquet \(img, kind\), got 'im"):
        _read(path, tmp_path, label_column="kind")


def _parquet_of(labels, path, feature):
    features = Features({"image": Value("binary"), "label": feature})
    with hub_logs.quiet():
        Dataset.from_dict({"image": [b"1"] * len(labels), "label": labels}, features=features).to_parquet(path)
    return path


def test_numbers_are_classes_in_the_order_of_their_size(tmp_path):
    split = _read(_parquet_of([10, 9, 10], tmp_path / "a.parquet", Value("int64")), tmp_path)
    assert (split.labels, split.classes) == (("10", "9", "10"), ("9", "10"))


def test_named_classes_keep_their_order_and_those_that_do_not_occur_are_left_out(tmp_path):
    feature = ClassLabel(names=["z", "y", "x"])
    split = _read(_parquet_of([2, 0, 2], tmp_path / "a.parquet", feature), tmp_path)
    assert (split.labels, split.classes) == (("x", "z", "x"), ("z", "x"))


def test_unknown_classes_everywhere_are_no_labels(tmp_path):
    split = _read(_parquet_of([-1, -1], tmp_path / "a.parquet", Value("int64")), tmp_path)
    assert split.labels is None


@pytest.mark.parametrize(
    ("labels", "feature", "given"),
    [
        ([1.0, 2.5], Value("float64"), "1.0 in row 0"),
        (["a", None], Value("string"), "None in row 1"),
        ([3, -1], Value("int64"), "-1 in row 1"),
    ],
)
def test_what_is_no_class_is_refused_with_its_row(tmp_path, labels, feature, given):
    path = _parquet_of(labels, tmp_path / "a.parquet", feature)
    with pytest.raises(InputError, match=rf"data.label_column: must be a class name or .*, got {given} of .*a.parquet"):
        _read(path, tmp_path)


def test_a_column_of_other_things_is_no_column_of_images(tmp_path):
    path = tmp_path / "a.parquet"
    with hub_logs.quiet():
        Dataset.from_dict({"image": [0.5], "label": ["a"]}).to_parquet(path)
    with pytest.raises(
        InputError, match=r"data.image_column: must be a column of images, got 'image' in .*double|float"
    ):
        _read(path, tmp_path)


@pytest.mark.parametrize("content", [None, b"no parquet", b""])
def test_an_unreadable_file_is_refused_by_its_option(tmp_path, content):
    path = tmp_path / "a.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"^data.train_file: must be a Parquet file, got '.*a.parquet'"):
        _read(path, tmp_path)


def test_splits_of_the_hub_that_are_there(monkeypatch):
    features = Features({"image": Image(), "label": ClassLabel(names=["a", "b"])})
    split = Dataset.from_dict({"image": [{"bytes": b"1"}] * 2, "label": [0, 1]}, features=features)
    data = DatasetDict({"train": split, "valid": split, "fresh": split})
    monkeypatch.setattr(image_tables, "load_from_hub", lambda *_: data)
    assert list(read_hub(HubSet("set"), "image", "label")) == ["train"]
    given = HubSet("set", validation="valid", test="fresh")
    assert list(read_hub(given, "image", "label")) == ["train", "validation", "test"]
    with pytest.raises(
        InputError, match=r"data.hub.train: must be a split of set \(train, valid, fresh\), got 'trian'"
    ):
        read_hub(HubSet("set", train="trian"), "image", "label")
