"""Backbones for images, with a head of the right width."""

import pytest
import tiny_images
import torch
from transformers import ViTConfig, ViTForImageClassification, ViTForMaskedImageModeling, ViTModel

from dylora.backbones import hub_logs
from dylora.backbones.load import load_image_classifier
from dylora.errors import InputError

HEAD = ["classifier.bias", "classifier.weight"]


@pytest.mark.parametrize("model_type", tiny_images.CONFIGS)
def test_the_backbones_weights_and_a_new_head(model_type, tmp_path):
    folder = tiny_images.save_backbone(tmp_path / model_type, model_type)
    model, new = load_image_classifier(folder, 5)
    assert new == HEAD
    assert model.get_parameter("classifier.weight").shape[0] == 5
    kept, _ = load_image_classifier(folder, 2, keep_head=True)
    ours, theirs = dict(model.named_parameters()), dict(kept.named_parameters())
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name not in HEAD)


@pytest.mark.parametrize("kind", [ViTModel, ViTForMaskedImageModeling])
def test_a_backbone_of_another_task(kind, tmp_path):
    with hub_logs.quiet():
        kind(ViTConfig(**tiny_images.CONFIGS["vit"], encoder_stride=4)).save_pretrained(tmp_path)
    assert load_image_classifier(str(tmp_path), 5)[1] == HEAD


def test_a_head_of_another_width_is_not_kept(tmp_path):
    folder = tiny_images.save_backbone(tmp_path / "vit")
    with pytest.raises(InputError, match=r"^model.keep_head: must be off, .*classifier\.\w+ has another shape"):
        load_image_classifier(folder, 5, keep_head=True)


def test_a_model_of_text_is_refused(make_model, tmp_path):
    with hub_logs.quiet():
        make_model("bert").save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"^model.backbone: must be a model of images .*, got .* of type 'bert'"):
        load_image_classifier(str(tmp_path), 3)


def test_a_model_of_grey_images_is_refused(tmp_path):
    with hub_logs.quiet():
        config = ViTConfig(**tiny_images.CONFIGS["vit"], num_channels=1)
        ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"with 3 channels, got .*, which takes 1"):
        load_image_classifier(str(tmp_path), 3)
