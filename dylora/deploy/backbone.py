"""What goes along with an exported model: where its backbone is, tokenizer or image processor, label names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from transformers import AutoImageProcessor, PreTrainedModel

from dylora.assets import resolve_backbone
from dylora.backbones import hub_logs
from dylora.backbones.tokenizers import tokenizer_for


def place_of(backbone: str) -> str:
    """A hub name as it is, and a folder with its whole path, so that it is found from anywhere."""
    source = resolve_backbone(backbone)
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source


def save_preprocessor(model: PreTrainedModel, backbone: str, folder: Path) -> None:
    """Write the backbone's tokenizer, or for images its processor, into a folder.

    Args:
        model: Says what goes in.
        backbone: Name of the backbone.
        folder: Where to.

    Raises:
        InputError: If the backbone has no tokenizer that can be read.
    """
    with hub_logs.quiet():
        if model.main_input_name == "pixel_values":
            cast(Any, AutoImageProcessor).from_pretrained(place_of(backbone)).save_pretrained(folder)
        else:
            tokenizer_for(backbone).save_pretrained(folder)


def name_labels(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Put the names of the classes into a model's configuration, in place, where they are known."""
    if len(labels) == model.config.num_labels and labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: place for place, label in enumerate(labels)}
