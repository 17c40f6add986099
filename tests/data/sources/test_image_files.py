"""Images in folders."""

import shutil

import pytest
import tiny_images

from dylora.data.sources.image_files import read_folder, read_unlabelled
from dylora.errors import InputError


def _paths(split):
    return [row["image"]["path"] for row in split.rows]


def test_a_folder_for_each_class_is_the_training_split(tmp_path):
    tiny_images.write_folders(tmp_path / "all", 2)
    splits = read_folder(str(tmp_path / "all"))
    assert list(splits) == ["train"]
    assert splits["train"].classes == ("bright", "dark", "grey")
    assert splits["train"].labels == ("bright", "bright", "dark", "dark", "grey", "grey")
    names = [f"{name}/{number:03}.png" for name in ("bright", "dark", "grey") for number in (0, 1)]
    assert _paths(splits["train"]) == [str(tmp_path / "all" / name) for name in names]


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_folders_of_splits(tmp_path, validation):
    for count, name in enumerate(("train", validation, "test"), start=1):
        tiny_images.write_folders(tmp_path / name, count)
    splits = read_folder(str(tmp_path))
    assert {name: len(split.rows) for name, split in splits.items()} == {"train": 3, "validation": 6, "test": 9}


def test_hidden_and_other_files_are_left_out_and_deeper_ones_found(tmp_path):
    folder = tiny_images.write_folders(tmp_path / "all", 1)
    (folder / "dark" / "notes.txt").write_text("no image")
    (folder / "dark" / ".hidden.png").write_text("no image")
    (folder / ".cache").mkdir()
    (folder / "dark" / "more").mkdir()
    shutil.copy(folder / "dark" / "000.png", folder / "dark" / "more" / "a.PNG")
    split = read_folder(str(folder))["train"]
    assert split.labels == ("bright", "dark", "dark", "grey")
    assert _paths(split)[1:3] == [str(folder / "dark" / "000.png"), str(folder / "dark" / "more" / "a.PNG")]


def test_an_empty_class_is_refused_by_its_folder(tmp_path):
    folder = tiny_images.write_folders(tmp_path / "all", 1)
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"^data.data_dir: must be at least one image a class, got none in .*/empty;"):
        read_folder(str(folder))


def test_a_folder_without_folders_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must be a folder for each class, got no folders in"):
        read_folder(str(tmp_path))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data.data_dir: must be a folder, got '.*/none', which does not exist"):
        read_folder(str(tmp_path / "none"))


def test_images_without_classes(tmp_path):
    folder = tiny_images.write_folders(tmp_path / "all", 1)
    split = read_unlabelled(str(folder))
    assert (split.labels, split.classes, len(split.rows)) == (None, (), 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"data.predict_dir: must be a folder with images"):
        read_unlabelled(str(tmp_path / "empty"))
