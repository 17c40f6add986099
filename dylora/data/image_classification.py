"""Lightning data module of images in classes."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import Sampler
from typing_extensions import override

from dylora.backbones.processors import processor_for
from dylora.data.base import Collate, LoaderDataModule, Part
from dylora.data.cache import default_cache_dir
from dylora.data.images import Augmentation, EpochSampler, ImageCollator, ImageRows
from dylora.data.sources.image_files import ImageSplit, read_folder, read_unlabelled
from dylora.data.sources.image_tables import read_hub, read_parquet
from dylora.data.sources.stratified import stratified_split
from dylora.errors import InputError


class ImageClassificationDataModule(LoaderDataModule):
    """Batches of images from class folders, Parquet files or the hub, made by the backbone's own image processor.

    A batch holds `pixel_values` (B, 3, H, W); `index` (B,), the row's number in its split from 0 (of folders, in the
    order of their paths); and, where they are known, `labels` (B,), class ids in the order of `labels`.

    Give one of `data_dir`, `train_file` and `hub_name`. Without validation images, a share of the training images of
    each class is set aside.

    Args:
        backbone: Backbone whose image processor is used: a folder or a hub name.
        data_dir: Folder with a folder of images for each class, or with such folders below `train`, `validation` and
            `test`.
        train_file: Parquet file of the training images.
        validation_file: Parquet file of the validation images.
        test_file: Parquet file of the test images.
        hub_name: Set on the Hugging Face hub, such as `uoft-cs/cifar10`.
        hub_configuration: Its configuration, where it has several.
        train_split: Name of the set's training split; null means train.
        validation_split: Name of its validation split; null means validation, val or valid, where there is one.
        test_split: Name of its test split; null means test, where there is one.
        image_column: Column of the images, in Parquet files and sets of the hub.
        label_column: Column of the classes there: names, or whole numbers.
        validation_share: Share of the training images that is set aside where there are no validation images.
        split_seed: Seed of the choice of that share; of its own, so that runs of several seeds share their split.
        flip: Whether half of the training images are mirrored, left to right, at random; not for digits and letters.
        crop_padding: Share of each side that is added around a training image, in black, before a piece of the image's
            own size is cut out at random, from 0 (none) to 1.
        predict_split: Split that `predict` runs over.
        predict_dir: Folder of images without classes that `predict` runs over, in the place of a split.
        name: Name of the runs' folder and of the task; null means that of the folder, the file or the set.
        cache_dir: Folder for what is read from Parquet files; null means ~/.cache/dylora (or $XDG_CACHE_HOME/dylora).
        **options: As for every data module.

    Attributes:
        name: Name of the data.

    Raises:
        InputError: If the images' place is not given or given twice, does not exist or lacks classes, or a number is
            out of range.
    """

    def __init__(
        self,
        backbone: str = "google/vit-base-patch16-224-in21k",
        data_dir: str | None = None,
        train_file: str | None = None,
        validation_file: str | None = None,
        test_file: str | None = None,
        hub_name: str | None = None,
        hub_configuration: str | None = None,
        train_split: str | None = None,
        validation_split: str | None = None,
        test_split: str | None = None,
        image_column: str = "image",
        label_column: str = "label",
        validation_share: float = 0.1,
        split_seed: int = 0,
        flip: bool = True,
        crop_padding: float = 0.125,
        predict_split: Literal["test", "validation"] = "test",
        predict_dir: str | None = None,
        name: str | None = None,
        cache_dir: str | None = None,
        **options: Any,  # noqa: ANN401 (those of the base)
    ) -> None:
        super().__init__(**options)
        _check_share("validation_share", 0 < validation_share < 1, "above 0 and below 1", validation_share)
        _check_share("crop_padding", 0 <= crop_padding <= 1, "from 0 to 1", crop_padding)
        place = _only_one(data_dir=data_dir, train_file=train_file, hub_name=hub_name)
        self.name = name or Path(place).resolve().stem
        self._backbone = backbone
        self._data_dir = data_dir
        files = {"train": train_file, "validation": validation_file, "test": test_file}
        self._files = {split: path for split, path in files.items() if path is not None}
        self._hub = hub_name, hub_configuration
        self._hub_splits = {"train": train_split, "validation": validation_split, "test": test_split}
        self._columns = image_column, label_column
        self._validation_share = validation_share
        self._split_seed = split_seed
        self._augmentation = Augmentation(self._seed, flip, crop_padding)
        self._predict_split = predict_split
        self._predict_dir = predict_dir
        self._cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, those of the training images; their places are the class ids."""
        return self._splits["train"].classes

    @cached_property
    def _splits(self) -> dict[str, ImageSplit]:
        """All splits; without validation images, a share of the training images."""
        found = self._read()
        if "train" not in found:
            raise InputError("data", "images to train on", f"none in {self.name}", "name the training split")
        for split in found.values():
            _check_classes(split, found["train"].classes)
        if "validation" not in found:
            train = found["train"]
            kept, aside = stratified_split(train.labels or (), self._validation_share, self._split_seed)
            found |= {"train": train.select(kept), "validation": train.select(aside)}
        if self._predict_dir is not None:
            found["predict"] = read_unlabelled(self._predict_dir)
        return found

    def _read(self) -> dict[str, ImageSplit]:
        if self._data_dir is not None:
            return read_folder(self._data_dir)
        if "train" in self._files:
            return read_parquet(self._files, *self._columns, self._cache_dir)
        name, configuration = self._hub
        assert name is not None
        return read_hub(name, configuration, self._hub_splits, *self._columns)

    @override
    def parts(self, stage: str) -> tuple[Part, ...]:
        """One split for each stage; for `fit` the training images first.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            InputError: If the split does not exist, or `test` lacks the classes of its images.
        """
        if stage == "fit":
            return Part("train"), Part("validation")
        if stage == "validate":
            return (Part("validation"),)
        split = "test" if stage == "test" else "predict" if self._predict_dir else self._predict_split
        if split not in self._splits:
            allowed = f"used with test images, which {self.name} does not have"
            raise InputError(
                "data", allowed, f"{stage} over {split}", "give them, or set --data.predict_split validation"
            )
        if stage == "test" and self._splits[split].labels is None:
            allowed = f"run on images of known classes, which those of {self._splits[split].place} are not"
            raise InputError("test", allowed, "test", "run predict")
        return (Part(split),)

    @override
    def setup(self, stage: str) -> None:
        """Say how many images there are.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.
        """
        counts = (f"{part} {len(self._splits[part.split].rows)}" for part in self.parts(stage))
        rank_zero_info(f"{self.name}: images of {len(self.labels)} classes, {', '.join(counts)}")

    @override
    def dataset(self, part: Part) -> ImageRows:
        """The images of a part, decoded when they are asked for; those to train on are changed at random."""
        split = self._splits[part.split]
        ids = {name: place for place, name in enumerate(self.labels)}
        labels = None if split.labels is None else [ids[name] for name in split.labels]
        return ImageRows(split.place, split.rows, labels, self._augmentation if part.split == "train" else None)

    @override
    def lengths(self, part: Part) -> Sequence[int]:
        """One for each image: all are made the same size."""
        return [1] * len(self._splits[part.split].rows)

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
                batch_size=self._train_batch_size,
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


def _check_classes(split: ImageSplit, classes: Sequence[str]) -> None:
    """Refuse fewer than two classes to train on, and classes that nothing is trained on."""
    if len(classes) < 2:
        given = f"{len(classes)} ({', '.join(classes)})" if classes else "none"
        raise InputError("data", "images of two classes or more", f"{given} in {split.place}", "add another class")
    if unknown := [name for name in split.classes if name not in classes]:
        allowed = f"one of the {len(classes)} classes of the training images ({', '.join(classes[:8])})"
        given = f"{unknown[0]!r} in {split.place}"
        raise InputError("data", allowed, given, "correct the name, or add training images of the class")
