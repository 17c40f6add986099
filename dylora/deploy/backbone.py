"""What an exported model says of its backbone: where it is found, and the names of its classes."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel

from dylora.assets import resolve_backbone


def path_of(backbone: str) -> str:
    """What other libraries are to load: a hub name as it is, and the whole path of a folder."""
    source = resolve_backbone(backbone)
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source


def name_labels(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Put the names of the classes into a model's configuration, in place, where they are known."""
    if labels and len(labels) == model.config.num_labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: place for place, label in enumerate(labels)}
