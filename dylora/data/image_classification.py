"""Lightning data module of images in classes."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import Sampler
from typing_extensions import override

from dylora.backbones.processors import processor_for
from dylora.data.base import Collate, LoaderDataModule, Part
from dylora.data.cache_folders import default_cache_dir
from dylora.data.images import Augmentation, EpochSampler, ImageCollator, ImageRows
from dylora.data.sources.holdout import Holdout, held_out_rows
from dylora.data.sources.hub_table import HubSet
from dylora.data.sources.image_files import ImageSplit, read_folder, read_unlabelled
from dylora.data.sources.image_tables import read_hub, read_parquet
from dylora.data.sources.labelled_text import shortened
from dylora.errors import InputError
from dylora.tasks import own_name


class ImageClassificationDataModule(LoaderDataModule):
    """Batches of images from class folders, Parquet files or the hub, made by the backbone's own image processor.

    A batch holds `pixel_values` (B, 3, H, W); `index` (B,), the row's number in its split from 0 (of folders, in the
    order of their paths); and, where they are known, `labels` (B,), class ids in the order of `labels`.

    Give one of `data_dir`, `train_file` and `hub`. Without validation images, a share of the training images of
    each class is set aside.

    Args:
        backbone: Backbone whose image processor is used: a folder or a hub name.
        data_dir: Folder with a folder of images for each class, or with such folders below `train`, `validation` and
            `test`.
        train_file: Parquet file of the training images.
        validation_file: Parquet file of the validation images.
        test_file: Parquet file of the test images.
        hub: A set on the hub in the place of files: its name, configuration and splits.
        image_column: Column of the images, in Parquet files and sets of the hub.
        label_column: Column of the classes there: names, or whole numbers.
        validation_share: Share of the training images that is set aside where there are no validation images.
        split_seed: Seed of the choice of those images. It is not the run's, so that runs of several seeds are
            comparable.
        flip: Whether half of the training images are mirrored, left to right, at random; not for digits and letters.
        crop_padding: Share of each side that is added around a training image, in black, before a piece of the image's
            own size is cut out at random, from 0 (none) to 1.
        predict_dir: Folder of images, with or without classes, that `predict` runs over; null takes the test images,
            else those of validation.
        labels: Class names in the order of their ids; null takes those of the training images, and in an evaluation
            those of the checkpoint.
        name: Name of the runs' folder and of the task; null means that of the folder, the file or the set.
        cache_dir: Folder for what is read from Parquet files; null means ~/.cache/dylora (or $XDG_CACHE_HOME/dylora).
        **options: As for every data module.

    Attributes:
        name: Name of the data; with `-data` behind it where one of GLUE's tasks has the same.
        kind: What the batches are, by which the command line tells models and data that do not fit each other.

    Raises:
        InputError: If the images' place is not given or given twice, does not exist or lacks classes, or a number is
            out of range.
    """

    kind: ClassVar[str] = "images"

    def __init__(
        self,
        backbone: str = "google/vit-base-patch16-224-in21k",
        data_dir: str | None = None,
        train_file: str | None = None,
        validation_file: str | None = None,
        test_file: str | None = None,
        hub: HubSet | None = None,
        image_column: str = "image",
        label_column: str = "label",
        validation_share: float = 0.1,
        split_seed: int = 10,
        flip: bool = True,
        crop_padding: float = 0.125,
        predict_dir: str | None = None,
        labels: list[str | int] | None = None,
        name: str | None = None,
        cache_dir: str | None = None,
        **options: Any,  # noqa: ANN401 (those of the base)
    ) -> None:
        super().__init__(**options)
        _check_share("validation_share", 0 < validation_share < 1, "above 0 and below 1", validation_share)
        _check_share("crop_padding", 0 <= crop_padding <= 1, "from 0 to 1", crop_padding)
        place = _only_one(data_dir=data_dir, train_file=train_file, hub=hub.name if hub else None)
        self.name = own_name(name, place)
        self._backbone = backbone
        self._data_dir = data_dir
        files = {"train": train_file, "validation": validation_file, "test": test_file}
        self._files = {split: path for split, path in files.items() if path is not None}
        self._hub = hub
        self._columns = image_column, label_column
        self._holdout = Holdout(validation_share, split_seed)
        self._labels = [str(label) for label in labels] if labels else None
        self._augmentation = Augmentation(self._seed, flip, crop_padding)
        self._predict_dir = predict_dir
        self._cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()

    @property
    def labels(self) -> list[str]:
        """The names of the classes in the order of their ids.

        Raises:
            InputError: If the training images cannot be read, or are all of one class.
        """
        return self._labels if self._labels is not None else list(self._splits["train"].classes)

    @cached_property
    def _splits(self) -> dict[str, ImageSplit]:
        """All splits; without validation images, a share of the training images."""
        found = self._read()
        train = found.get("train")
        if self._labels is None and (train is None or len(train.classes) < 2):
            raise _too_few(train)
        for split in found.values():
            _check_classes(split, self._labels or found["train"].classes)
        if "validation" not in found and train is not None and train.labels is not None:
            found |= self._held_out(train, train.labels)
        if self._predict_dir is not None:
            found["predict"] = read_unlabelled(self._predict_dir)
        return found

    def _read(self) -> dict[str, ImageSplit]:
        if self._data_dir is not None:
            return read_folder(self._data_dir)
        if self._hub is not None:
            return read_hub(self._hub, *self._columns)
        return read_parquet(self._files, *self._columns, self._cache_dir)

    def _held_out(self, train: ImageSplit, labels: Sequence[str]) -> dict[str, ImageSplit]:
        ids = {name: place for place, name in enumerate(train.classes)}
        held = held_out_rows([ids[label] for label in labels], self._holdout)
        if not held:
            allowed = f"a share that is an image or more of the {len(labels)} in {train.place}"
            raise InputError("data.validation_share", allowed, self._holdout.share, "give a larger one")
        kept = sorted(set(range(len(labels))).difference(held))
        return {"train": train.select(kept), "validation": train.select(held)}

    @override
    def parts(self, stage: str) -> tuple[Part, ...]:
        """One split for each stage; for `fit` the training images first.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: If there are no images of known classes for `test`.
        """
        if stage == "fit":
            return Part("train"), Part("validation")
        choices = {"validate": (), "test": ("test",), "predict": ("predict", "test")}[stage]
        split = next((split for split in choices if split in self._splits), "validation")
        if stage == "test" and (split != "test" or self._splits[split].labels is None):
            given = "none" if split != "test" else f"{self._splits[split].place}, whose classes are not known"
            raise InputError("data", "images with classes to test on", given, "give some, or run validate or predict")
        return (Part(split),)

    @override
    def setup(self, stage: str) -> None:
        """Say how many images there are.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.
        """
        counts = (f"{part} {len(self._split(part).rows)}" for part in self.parts(stage))
        rank_zero_info(f"{self.name}: images of {len(self.labels)} classes, {', '.join(counts)}")

    @override
    def dataset(self, part: Part) -> ImageRows:
        """The images of a part, decoded when they are asked for; those to train on are changed at random."""
        split = self._split(part)
        ids = {name: place for place, name in enumerate(self.labels)}
        labels = None if split.labels is None else [ids[name] for name in split.labels]
        return ImageRows(split.place, split.rows, labels, self._augmentation if part.split == "train" else None)

    @override
    def described(self, split: str, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The images' paths and classes, where they are known."""
        found = self._splits[split]
        cells = found.rows.select(indices)["image"]
        records = [{"path": cell["path"]} if cell and cell["path"] else {} for cell in cells]
        if found.labels is not None:
            for record, index in zip(records, indices, strict=True):
                record["label"] = found.labels[index]
        return records

    @override
    def lengths(self, part: Part) -> Sequence[int]:
        """One for each image: all are made the same size."""
        return [1] * len(self._split(part).rows)

    def _split(self, part: Part) -> ImageSplit:
        if part.split not in self._splits:
            raise InputError("data", f"given with {part.split} images", "none", "give some")
        return self._splits[part.split]

    @override
    def training_order(self, part: Part) -> Sampler[Any]:
        """Random order, each row with its epoch, on which the random changes depend.

        Raises:
            InputError: If there are fewer images than processes.
        """
        super().training_order(part)
        processes, process = self.processes()
        return cast(
            Sampler[Any],
            EpochSampler(
                len(self.lengths(part)),
                batch_size=self._train_batch_size * processes,
                num_replicas=processes,
                rank=process,
                seed=self._seed,
            ),
        )

    @override
    def collator(self, part: Part) -> Collate:
        """The backbone's own image processor."""
        return cast(Collate, ImageCollator(processor_for(self._backbone)))

    @override
    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Raise the error that a worker found."""
        if isinstance(batch, InputError):
            raise batch
        return batch


def _check_share(option: str, holds: bool, allowed: str, given: float) -> None:
    if not holds:
        raise InputError(f"data.{option}", allowed, given, "give another share")


def _only_one(**places: str | None) -> str:
    """The one place that is given."""
    given = {name: place for name, place in places.items() if place is not None}
    if len(given) != 1:
        names = " or ".join(f"--data.{name}" for name in places)
        found = " and ".join(f"--data.{name}" for name in given) or "none"
        raise InputError("data", f"given by one of {names}", found, "say where the images are")
    return next(iter(given.values()))


def _too_few(train: ImageSplit | None) -> InputError:
    given = f"{train.classes[0]!r} alone in {train.place}" if train and train.classes else "none"
    return InputError("data", "training images of two classes or more", given, "add images of another class")


def _check_classes(split: ImageSplit, classes: Sequence[str]) -> None:
    """Refuse classes that nothing is trained on."""
    if unknown := [name for name in split.classes if name not in classes]:
        given = f"{unknown[0]!r} in {split.place}"
        fix = "correct the name, or train on images of the class too"
        raise InputError("data", f"one of the classes {shortened(classes)}", given, fix)
