"""Small images in three classes that differ by their brightness, and tiny random backbones for them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pillow
from transformers import AutoConfig, AutoModelForImageClassification, ConvNextImageProcessor, ViTImageProcessor

from dylora.backbones import hub_logs

CLASSES = ("bright", "dark", "grey")
_LEVELS = {"bright": 230, "dark": 20, "grey": 120}
_ENCODER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 8,
    "patch_size": 4,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": _ENCODER,
    "deit": {**_ENCODER, "architectures": ["DeiTForImageClassification"]},
    "beit": {**_ENCODER, "use_relative_position_bias": True},
    "dinov2": {name: value for name, value in _ENCODER.items() if name != "intermediate_size"},
    "swin": {
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "window_size": 2,
        "image_size": 8,
        "patch_size": 2,
    },
    "convnext": {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2, "patch_size": 2, "image_size": 8},
}
TARGETS = {"convnext": ["pwconv1", "pwconv2"]}
"""The modules to adapt where there is no default."""


def pixels(name: str, number: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """An image of a class, `(height, width, 3)`."""
    random = np.random.default_rng((number, len(name)))
    return np.clip(random.normal(_LEVELS[name], 30, (size[1], size[0], 3)), 0, 255).astype(np.uint8)


def write_folders(folder: Path, count: int = 6, size: tuple[int, int] = (8, 8), first: int = 0) -> Path:
    """A folder for each class, with `count` images in each."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = Pillow.fromarray(pixels(name, first + number, size))
            image.save(folder / name / f"{number:03}.png")
    return folder


def write_parquet(path: Path, folder: Path, columns: tuple[str, str] = ("image", "label")) -> Path:
    """The images of class folders in a Parquet file, in the order of their paths."""
    paths = sorted(folder.glob("*/*.png"))
    image, label = columns
    rows = {
        image: [{"bytes": path.read_bytes(), "path": None} for path in paths],
        label: [path.parent.name for path in paths],
    }
    features = Features({image: Image(decode=False), label: Value("string")})
    with hub_logs.quiet():
        Dataset.from_dict(rows, features=features).to_parquet(path)
    return path


def save_backbone(folder: Path, model_type: str = "vit", processor: Any = None) -> str:
    """Write a random backbone and its processor, which makes images 8 by 8; returns the folder as text."""
    torch.manual_seed(0)
    architectures = {"architectures": CONFIGS[model_type].get("architectures")}
    config = AutoConfig.for_model(model_type, **{**CONFIGS[model_type], **architectures})
    square = {"height": 8, "width": 8}
    if processor is None:
        processor = ConvNextImageProcessor(size={"shortest_edge": 8}) if model_type == "convnext" else None
    with hub_logs.quiet():
        model = AutoModelForImageClassification.from_config(config)
        for name, parameter in model.named_parameters():  # layers are scaled to nearly nothing in some of them
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            elif "lambda" in name or name.endswith("layer_scale_parameter"):
                torch.nn.init.ones_(parameter)
        model.save_pretrained(folder)
        (processor or ViTImageProcessor(size=square)).save_pretrained(folder)
    return str(folder)


def options(backbone: str, root: Path, **changes: Any) -> list[str]:
    """Command-line options of a run of two epochs on `root/images`."""
    values = {
        "model": "ImageClassificationModule",
        "model.backbone": backbone,
        "model.learning_rate": 1e-2,
        "model.adapter.max_rank": 4,
        "data": "ImageClassificationDataModule",
        "data.data_dir": root / "images",
        "data.train_batch_size": 4,
        "trainer.max_epochs": 2,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.logger": "false",
        "trainer.default_root_dir": root / "logs",
        **changes,
    }
    return [f"--{name}={value}" for name, value in values.items()]
