"""Images in folders, one folder a class."""

import os
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, Features, Image  # type: ignore[import-untyped]

from dylora.errors import InputError

SPLIT_FOLDERS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
"""Names of the folders of a split; the first that exists counts."""


@dataclass(frozen=True)
class ImageSplit:
    """The images of a split, not decoded.

    Attributes:
        place: Where they come from, for messages: a folder, a file, a set on the hub.
        rows: One column, `image`, of dicts with `path` and `bytes`, one of which may be None.
        labels: Name of the class of each row; None where it is not known.
        classes: The classes that occur, in their order.
    """

    place: str
    rows: Dataset
    labels: tuple[str, ...] | None
    classes: tuple[str, ...]

    def select(self, rows: list[int]) -> "ImageSplit":
        """Some of the rows, in the given order."""
        labels = None if self.labels is None else tuple(self.labels[row] for row in rows)
        return ImageSplit(self.place, self.rows.select(rows), labels, self.classes)


def read_folder(data_dir: str) -> dict[str, ImageSplit]:
    """The splits in a folder: those of its folders `train`, `validation` (or `val`, `valid`) and `test`.

    Args:
        data_dir: Folder that holds such folders, or a folder for each class: these are the training images.

    Raises:
        InputError: If it does not exist, or a class has no image.
    """
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise InputError("data.data_dir", "a folder", f"{data_dir!r}, which does not exist", "check the path")
    inner = {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    splits = {name for names in SPLIT_FOLDERS.values() for name in names}
    if "train" not in inner and not (inner and inner <= splits):
        return {"train": _classes_in(folder)}
    found = {}
    for split, names in SPLIT_FOLDERS.items():
        if place := next((folder / name for name in names if (folder / name).is_dir()), None):
            found[split] = _classes_in(place)
    return found


def read_unlabelled(folder: str) -> ImageSplit:
    """All images below a folder, in the order of their paths.

    Raises:
        InputError: If there are none.
    """
    paths = _images_below(Path(folder).expanduser())
    if not paths:
        raise InputError("data.predict_dir", "a folder with images", repr(folder), "check the path")
    return ImageSplit(folder, undecoded(paths), None, ())


def undecoded(images: list[str]) -> Dataset:
    """Rows of images that are known by their paths."""
    return Dataset.from_dict({"image": images}, features=Features({"image": Image(decode=False)}))


def _classes_in(folder: Path) -> ImageSplit:
    """One class for each folder, in the order of their names."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    images: list[str] = []
    labels: list[str] = []
    for name in classes:
        paths = _images_below(folder / name)
        if not paths:
            fix = "put images there, or remove the folder"
            raise InputError("data.data_dir", "at least one image a class", f"none in {folder / name}", fix)
        images += paths
        labels += [name] * len(paths)
    if not images:
        fix = "make a folder for each class and put its images there"
        raise InputError("data.data_dir", "a folder for each class", f"no folders in {folder}", fix)
    return ImageSplit(str(folder), undecoded(images), tuple(labels), tuple(classes))


def _images_below(folder: Path) -> list[str]:
    """Paths of the files whose ending is that of an image, sorted; hidden ones are left out."""
    from PIL import Image as Pillow

    endings = tuple(Pillow.registered_extensions())
    return sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(endings) and not name.startswith(".")
    )
