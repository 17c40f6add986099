"""Images in a column of a table: Parquet files, sets on the Hugging Face hub."""

from collections.abc import Mapping
from pathlib import Path

from datasets import ClassLabel, Dataset, Image  # type: ignore[import-untyped]

from dylora.backbones import hub_logs
from dylora.data.sources.hub import load_from_hub
from dylora.data.sources.hub_table import HubSet
from dylora.data.sources.image_files import ImageSplit
from dylora.errors import InputError

UNKNOWN = -1
"""What sets on the hub have in the place of a class that is not public."""


def read_parquet(
    files: Mapping[str, str], image_column: str, label_column: str, cache_dir: Path
) -> dict[str, ImageSplit]:
    """The splits in Parquet files.

    Args:
        files: Path of the file of each split.
        image_column: Column of the images: an Image feature of `datasets`, or their bytes.
        label_column: Column of their classes: names, or whole numbers.
        cache_dir: Where `datasets` keeps what it has read.

    Raises:
        InputError: If a file cannot be read, or a column is missing or of another kind.
    """
    found = {}
    for split, path in files.items():
        try:
            with hub_logs.quiet():
                rows = Dataset.from_parquet(str(Path(path).expanduser()), cache_dir=str(cache_dir / "parquet"))
        except Exception as error:  # whatever pyarrow and datasets raise for a file that is none
            reason = str(error.__cause__ or error).partition("\n")[0]
            fix = f"check the path ({reason})"
            raise InputError(f"data.{split}_file", "a Parquet file", repr(path), fix) from error
        found[split] = _table(path, rows, image_column, label_column)
    return found


def read_hub(hub: HubSet, image_column: str, label_column: str) -> dict[str, ImageSplit]:
    """The splits of a set on the hub, those of them that it has.

    Args:
        hub: The set, and what it calls the splits.
        image_column: Column of the images.
        label_column: Column of their classes.

    Raises:
        InputError: If it cannot be loaded, has no training split, or lacks a column.
    """
    data = load_from_hub(hub.name, "a folder of class folders", hub.configuration)
    if hub.train not in data:
        raise InputError("data.hub.train", f"a split of {hub.name} ({', '.join(data)})", repr(hub.train), "name one")
    names = {"train": hub.train, "validation": hub.validation, "test": hub.test}
    there = {split: theirs for split, theirs in names.items() if theirs in data}
    return {
        split: _table(f"{hub.name} {theirs}", data[theirs], image_column, label_column)
        for split, theirs in there.items()
    }


def _table(place: str, rows: Dataset, image_column: str, label_column: str) -> ImageSplit:
    _check_column("image_column", image_column, place, rows)
    _check_column("label_column", label_column, place, rows)
    if not len(rows):
        raise InputError("data", f"at least one row in {place}", "none", "give another file")
    try:
        images = rows.select_columns([image_column]).cast_column(image_column, Image(decode=False))
    except (ValueError, TypeError, NotImplementedError) as error:
        given = f"{image_column!r} in {place}, whose type is {rows.features[image_column]}"
        raise InputError("data.image_column", "a column of images", given, "choose another column") from error
    labels, classes = _named(place, rows, label_column)
    if image_column != "image":
        images = images.rename_column(image_column, "image")
    return ImageSplit(place, images, labels, classes)


def _check_column(option: str, column: str, place: str, rows: Dataset) -> None:
    if column not in rows.column_names:
        allowed = f"a column of {place} ({', '.join(rows.column_names)})"
        raise InputError(f"data.{option}", allowed, repr(column), "choose one of them")


def _named(place: str, rows: Dataset, column: str) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The class of each row by name, and the classes that occur, in the order of their numbers or names."""
    values, feature = rows[column][:], rows.features[column]
    if all(value is None or value == UNKNOWN for value in values):
        return None, ()
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | str) or value == UNKNOWN:
            given = f"{value!r} in row {row} of {place}"
            raise InputError("data.label_column", "a class name or a whole number in every row", given, "correct it")
    present = sorted(set(values))
    name = feature.int2str if isinstance(feature, ClassLabel) else str
    return tuple(map(name, values)), tuple(map(name, present))
