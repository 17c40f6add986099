"""Decoding images, changing them at random for training, and making batches of them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info
from transformers import BaseImageProcessor
from transformers.trainer_pt_utils import DistributedLengthGroupedSampler

from dylora.errors import InputError

Row = dict[str, Any]


@dataclass(frozen=True)
class Augmentation:
    """Light random changes of training images; a pure function of (seed, epoch, row), whatever process asks.

    Attributes:
        seed: Seed of the changes.
        flip: Whether half of the images are mirrored, left to right.
        padding: Share of each side that is added around an image, in black, before a piece of its own size is cut out
            of it at random; from 0 (none) to 1.
    """

    seed: int
    flip: bool
    padding: float

    def __call__(self, image: Image.Image, epoch: int, row: int) -> Image.Image:
        """The changed image, of the same size.

        Args:
            image: The image.
            epoch: The epoch, from 0.
            row: Number of the image in its split.
        """
        mirror, right, down = np.random.default_rng((self.seed, epoch, row)).random(3)
        if self.flip and mirror < 0.5:
            image = ImageOps.mirror(image)
        left, top = _shift(right, image.width, self.padding), _shift(down, image.height, self.padding)
        return image.crop((left, top, left + image.width, top + image.height)) if left or top else image


def _shift(drawn: float, side: int, padding: float) -> int:
    """A whole number from -p to p, each as likely, where p is the padding in pixels."""
    pixels = round(padding * side)
    return int(drawn * (2 * pixels + 1)) - pixels


class EpochSampler(DistributedLengthGroupedSampler):
    """Rows in random order, each with the number of the epoch: so workers that live on know which epoch it is.

    Args:
        rows: Number of rows.
        **options: As for the sampler of rows of similar length; here all are alike.
    """

    def __init__(self, rows: int, **options: Any) -> None:  # noqa: ANN401
        super().__init__(lengths=[1] * rows, **options)

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        """Pairs of epoch and row, of this process."""
        return ((self.epoch, row) for row in super().__iter__())


class ImageRows(TorchDataset[Row | InputError]):
    """Decoded images with their number and class.

    Args:
        place: Where they come from, for messages.
        rows: One column, `image`: dicts with `path` and `bytes`.
        labels: Class of each row; None where it is not known.
        augmentation: Changes the images of the rows that are asked for with an epoch.
    """

    def __init__(
        self, place: str, rows: Dataset, labels: list[int] | None, augmentation: Augmentation | None = None
    ) -> None:
        self._place = place
        self._rows = rows
        self._labels = labels
        self._augmentation = augmentation

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def __getitem__(self, key: int | tuple[int, int]) -> Row | InputError:
        """A row: `image` in RGB, `index` and, where known, `labels`.

        Args:
            key: Number of the row, or the epoch and the number.

        Returns:
            The row. Of an image that cannot be decoded, in a worker, the error: raised there it would lose its type.

        Raises:
            InputError: If the image cannot be decoded.
        """
        epoch, row = key if isinstance(key, tuple) else (None, key)
        try:
            image = decode(self._rows[row]["image"], f"row {row} of {self._place}")
        except InputError as error:
            if get_worker_info() is None:
                raise
            return error
        if epoch is not None and self._augmentation is not None:
            image = self._augmentation(image, epoch, row)
        labels = {} if self._labels is None else {"labels": self._labels[row]}
        return {"image": image, "index": row, **labels}


def decode(cell: dict[str, Any] | None, place: str) -> Image.Image:
    """The image of a cell, upright and in RGB.

    Args:
        cell: Its `bytes`, or else its `path`.
        place: What it is called in a message where it has no path of its own.

    Raises:
        InputError: If it is not an image that Pillow reads, or damaged.
    """
    content = (cell or {}).get("bytes")
    path = (cell or {}).get("path")
    try:
        with Image.open(io.BytesIO(content) if content is not None else path or io.BytesIO()) as image:
            return upright(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        name = place if content is not None or not path else path
        reason = str(error).partition("\n")[0]
        raise InputError("data", "images that can be decoded", f"{name} ({reason})", "replace or remove it") from error


def upright(image: Image.Image) -> Image.Image:
    """An image as models get it: turned as its EXIF entry says, in RGB."""
    return ImageOps.exif_transpose(image).convert("RGB")


class ImageCollator:
    """Images to a batch, made by the backbone's own processor: resized, rescaled, normalised.

    Args:
        processor: The backbone's image processor.
    """

    def __init__(self, processor: BaseImageProcessor) -> None:
        self._processor = processor

    def __call__(self, rows: list[Row | InputError]) -> dict[str, Tensor] | InputError:
        """The batch: `pixel_values` (B, C, H, W), `index` (B,) and, where known, `labels` (B,).

        Returns:
            The batch, or the error of one of its rows.

        Raises:
            InputError: If the images are of several sizes that the processor leaves as they are.
        """
        good: list[Row] = []
        for row in rows:
            if isinstance(row, InputError):
                return row
            good.append(row)
        images = [row["image"] for row in good]
        try:
            pixels = self._processor(images=images, return_tensors="pt")["pixel_values"]
        except ValueError as error:
            sizes = sorted({f"{image.width}x{image.height}" for image in images})
            if len(sizes) == 1:
                raise
            problem = _sizes(sizes)
            if get_worker_info() is not None:
                return problem
            raise problem from error
        names = ("index", "labels") if "labels" in good[0] else ("index",)
        return {"pixel_values": pixels, **{name: torch.tensor([row[name] for row in good]) for name in names}}


def _sizes(sizes: list[str]) -> InputError:
    allowed = "images of one size for a processor that does not resize them"
    fix = "resize the images, or set do_resize in the backbone's preprocessor_config.json"
    return InputError("data", allowed, ", ".join(sizes[:5]), fix)
