"""The image processor that belongs to a backbone."""

import pytest
import tiny_images

from dylora.backbones.processors import processor_for
from dylora.errors import InputError


def test_the_saved_processor_on_pillow(tmp_path):
    processor = processor_for(tiny_images.save_backbone(tmp_path / "vit"))
    assert type(processor).__name__ == "ViTImageProcessorPil"
    assert dict(processor.size) == {"height": 8, "width": 8}


def test_a_folder_without_one_is_refused_in_a_line(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    words = (
        r"^model.backbone: must be a folder with an image processor \(preprocessor_config.json\), got .* with config"
    )
    with pytest.raises(InputError, match=words):
        processor_for(str(tmp_path))


def test_a_name_that_cannot_be_reached_is_refused_in_a_line():
    with pytest.raises(InputError, match=r"^model.backbone: must be a hub name .*, got no/body; check the name"):
        processor_for("no/body")
