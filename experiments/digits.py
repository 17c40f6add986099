"""Pretrain a small ViT on the handwritten digits 0 to 4, and write those of 5 to 9 as data to adapt it to.

    python experiments/digits.py --output digits
    python -m dylora fit --config configs/digits.yaml

The images are the 1,797 of scikit-learn (8 by 8 pixels, from the UCI repository's test set of 13 writers), so nothing
is downloaded. In the output lie `backbone/` (the model and its image processor), `images/train`, `images/validation`
and `images/test` with a folder for each of 5 to 9, and the same images as `train.parquet`, `validation.parquet` and
`test.parquet`. Which image goes where depends on the seed alone; the backbone sees none of them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from datasets import ClassLabel, Dataset, Features, Image
from numpy.typing import NDArray
from PIL import Image as Pillow
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, get_cosine_schedule_with_warmup

Pixels = NDArray[np.uint8]  # (images, 8, 8), grey
OLD, NEW = tuple(range(5)), tuple(range(5, 10))
BATCH_SIZE = 32
EPOCHS = 100
LEARNING_RATE = 1e-3


def digits(chosen: tuple[int, ...]) -> tuple[Pixels, NDArray[np.int64]]:
    """The images of some digits, on a scale of 0 to 255, and which digit each is."""
    pixels, labels = load_digits(return_X_y=True)
    kept = np.isin(labels, chosen)
    return np.rint(pixels[kept].reshape(-1, 8, 8) / 16 * 255).astype(np.uint8), labels[kept]


def split(pixels: Pixels, labels: NDArray[np.int64], seed: int) -> dict[str, tuple[Pixels, NDArray[np.int64]]]:
    """60 % of each digit to train on, 20 % to validate, 20 % to test."""
    rest, test, rest_labels, test_labels = train_test_split(
        pixels, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    train, validation, train_labels, validation_labels = train_test_split(
        rest, rest_labels, test_size=0.25, random_state=seed, stratify=rest_labels
    )
    return {
        "train": (train, train_labels),
        "validation": (validation, validation_labels),
        "test": (test, test_labels),
    }


def make_processor() -> ViTImageProcessor:
    """Images to 8 by 8 pixels in RGB, from -1 to 1."""
    return ViTImageProcessor(size={"height": 8, "width": 8})


def pretrain(seed: int, epochs: int) -> ViTForImageClassification:
    """A ViT of 4 layers and width 64 that tells 0 to 4 apart, trained from scratch with random shifts of one pixel."""
    torch.manual_seed(seed)
    config = ViTConfig(
        image_size=8,
        patch_size=2,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        num_labels=len(OLD),
    )
    model = ViTForImageClassification(config).train()
    parts = split(*digits(OLD), seed)
    (images, labels), (held, held_labels) = (_tensors(*parts[name]) for name in ("train", "validation"))
    steps = epochs * -(-len(images) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.05)
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
    begin = time.monotonic()
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(images)).split(BATCH_SIZE):
            loss = F.cross_entropy(model(pixel_values=_shifted(images[rows])).logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 20 == 0:
            print(f"epoch {epoch}: {_accuracy(model, held, held_labels):.4f} on held-out 0 to 4, {_since(begin)}")
    return model.eval()


def _tensors(pixels: Pixels, labels: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """What the processor makes of the images, (images, 3, 8, 8), and their digits."""
    images = [Pillow.fromarray(image).convert("RGB") for image in pixels]
    return make_processor()(images=images, return_tensors="pt")["pixel_values"], torch.tensor(labels)


def _shifted(images: Tensor) -> Tensor:
    """Each image moved by up to one pixel, on black."""
    framed = F.pad(images, (1, 1, 1, 1), value=-1.0)
    places = torch.randint(0, 3, (len(images), 2)).tolist()
    return torch.stack([image[:, y : y + 8, x : x + 8] for image, (y, x) in zip(framed, places, strict=True)])


@torch.no_grad()
def _accuracy(model: ViTForImageClassification, images: Tensor, labels: Tensor) -> float:
    model.eval()
    found = (model(pixel_values=images).logits.argmax(-1) == labels).float().mean()
    model.train()
    return float(found)


def _since(begin: float) -> str:
    return f"{time.monotonic() - begin:.0f} s"


def write_images(folder: Path, seed: int) -> None:
    """The images of 5 to 9, as PNG files in class folders and as Parquet files."""
    features = Features({"image": Image(), "label": ClassLabel(names=[str(digit) for digit in NEW])})
    for name, (pixels, labels) in split(*digits(NEW), seed).items():
        paths = []
        for place, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            path = folder / "images" / name / str(label) / f"{place:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(image).save(path)
            paths.append((path, str(label)))
        ordered = sorted(paths)
        cells = [{"bytes": path.read_bytes(), "path": path.name} for path, _ in ordered]
        rows = {"image": cells, "label": [label for _, label in ordered]}
        Dataset.from_dict(rows, features=features).to_parquet(folder / f"{name}.parquet")


def main() -> None:
    """Parse the command line, make the backbone and the images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder to write into; it must not exist")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"epochs of the pretraining (default: {EPOCHS})")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and splits (default: 0)")
    options = parser.parse_args()
    options.output.mkdir(parents=True)
    model = pretrain(options.seed, options.epochs)
    model.save_pretrained(options.output / "backbone")
    make_processor().save_pretrained(options.output / "backbone")
    write_images(options.output, options.seed)


if __name__ == "__main__":
    main()
