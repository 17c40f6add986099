"""What the data must know of a backbone beside its tokenizer."""

from dataclasses import dataclass
from pathlib import Path

from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, AutoConfig

from dylora.assets import resolve_backbone
from dylora.backbones import hub_logs
from dylora.backbones.hub import check_hub
from dylora.errors import InputError


@dataclass(frozen=True)
class Architecture:
    """Facts of a backbone's configuration.

    Attributes:
        is_encoder_decoder: Whether source and text go into the model separately (T5, BART).
        window: Number of positions that the model has, or None where its positions are not numbered.
        is_of_images: Whether it sorts images into classes.
    """

    is_encoder_decoder: bool
    window: int | None
    is_of_images: bool = False


def architecture_of(backbone: str, gguf_file: str | None = None) -> Architecture:
    """Read a backbone's configuration.

    Args:
        backbone: `builtin/gpt2`, a folder, or a name on the hub.
        gguf_file: Name of the GGUF file in that folder or repository that holds the configuration.

    Raises:
        InputError: If there is no configuration to be had.
    """
    source = str(Path(resolve_backbone(backbone)).expanduser())
    gguf = {} if gguf_file is None else {"gguf_file": gguf_file}
    check_hub(source)
    try:
        with hub_logs.quiet():
            config = AutoConfig.from_pretrained(source, **gguf)
    except Exception as error:  # whatever the libraries raise about a file that is no configuration
        allowed = "a folder with config.json, or a hub name that can be reached or lies in the cache"
        fix = f"put the backbone's config.json there or check the name {hub_logs.OFFLINE_FIX}"
        raise InputError("model.backbone", allowed, backbone, fix) from error
    window = getattr(config.get_text_config(), "max_position_embeddings", None)
    is_of_images = type(config) in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
    return Architecture(bool(config.is_encoder_decoder), window, is_of_images)
