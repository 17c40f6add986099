"""What is read from a backbone's configuration."""

import json

import pytest

from dylora.backbones.architecture import Architecture, architecture_of
from dylora.errors import InputError


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gpt2", "n_positions": 77}, Architecture(False, 77)),
        ({"model_type": "llama", "max_position_embeddings": 55}, Architecture(False, 55)),
        ({"model_type": "bart", "max_position_embeddings": 99}, Architecture(True, 99)),
        ({"model_type": "t5"}, Architecture(True, None)),
    ],
)
def test_kind_and_window(config, expected, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert architecture_of(str(tmp_path)) == expected


def test_the_shipped_backbone():
    assert architecture_of("builtin/gpt2") == Architecture(False, 128)


@pytest.mark.parametrize("content", [None, "{", '{"model_type": "nothing"}'])
def test_a_folder_without_a_usable_configuration_is_told(content, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as caught:
        architecture_of(str(tmp_path))
    assert str(caught.value).startswith(
        "model.backbone: must be a folder with config.json, or a hub name that can be reached or lies in the cache, "
        f"got {tmp_path}; put the backbone's config.json there"
    )
