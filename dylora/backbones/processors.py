"""Which image processor belongs to a backbone's name."""

from pathlib import Path
from typing import Any, cast

from transformers import AutoImageProcessor, BaseImageProcessor

from dylora.backbones import hub_logs
from dylora.backbones.hub import check_hub
from dylora.errors import InputError


def processor_for(backbone: str) -> BaseImageProcessor:
    """The image processor of a backbone, on Pillow, whether torchvision is installed or not.

    Both read the same file; their resized pixels differ a little, and so would the figures.

    Args:
        backbone: A folder, or a name on the hub.

    Raises:
        InputError: If the folder does not exist or holds no image processor, or the hub cannot be reached.
    """
    folder = Path(backbone).expanduser()
    check_hub(backbone)
    try:
        with hub_logs.quiet():
            auto = cast(Any, AutoImageProcessor)  # transformers does not say what it takes
            processor: BaseImageProcessor = auto.from_pretrained(
                str(folder) if folder.is_dir() else backbone, backend="pil"
            )
    except Exception as error:  # whatever the libraries raise about files that are no image processor
        raise _unusable(backbone, folder) from error
    return processor


def _unusable(backbone: str, folder: Path) -> InputError:
    if folder.is_dir():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        allowed = "a folder with an image processor (preprocessor_config.json)"
        fix = "save the backbone's image processor into it, or choose a backbone for images"
        return InputError("model.backbone", allowed, f"{backbone} with {found}", fix)
    fix = (
        f"check the name and the network; offline, give a local folder with --model.backbone DIR {hub_logs.OFFLINE_FIX}"
    )
    allowed = "a hub name of a backbone for images that can be reached or lies in the cache"
    return InputError("model.backbone", allowed, backbone, fix)
