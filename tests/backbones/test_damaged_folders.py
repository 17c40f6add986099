"""A folder whose weights or configuration are damaged is refused in one line that names the option."""

import json

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from dylora.backbones.load import load_classifier
from dylora.errors import InputError


@pytest.fixture
def folder(tmp_path):
    tiny.save_backbone(tmp_path / "backbone")
    return tmp_path / "backbone"


def _configured(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def _weights(content):
    return lambda folder: (folder / "model.safetensors").write_bytes(content(folder / "model.safetensors"))


def _not_finite(folder):
    weights = load_file(folder / "model.safetensors")
    weights["roberta.encoder.layer.0.attention.self.query.weight"][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


DAMAGES = {
    "truncated": (_weights(lambda path: path.read_bytes()[:999]), "a folder with config.json and weights"),
    "empty": (_weights(lambda path: b""), "a folder with config.json and weights"),
    "text": (_weights(lambda path: b"not found\n"), "a folder with config.json and weights"),
    "a header of 8 EiB": (_weights(lambda path: b"\xff" * 64), "a folder with config.json and weights"),
    "not finite": (_not_finite, "weights that are finite numbers"),
    "width": (_configured(hidden_size=8), "weights for RobertaForSequenceClassification of its config.json"),
    "positions": (_configured(max_position_embeddings=30), "weights for RobertaForSequenceClassification of its"),
    "vocabulary": (_configured(vocab_size=7), "weights for RobertaForSequenceClassification of its config.json"),
    "layers": (_configured(num_hidden_layers=3), "weights for all of RobertaForSequenceClassification"),
    "activation": (_configured(hidden_act="bogus"), "a folder with config.json and weights"),
    "type": (_configured(model_type="bogus"), "a folder with config.json and weights"),
    "quantisation": (_configured(quantization_config={"quant_method": "bogus"}), "quantised in a way|a folder with"),
    "a list": (lambda folder: (folder / "config.json").write_text("[]"), "a folder with config.json and weights"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "a folder with config.json and weights"),
    "bytes": (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\x00"), "a folder with config.json and"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_it_is_refused(folder, name):
    damage, words = DAMAGES[name]
    damage(folder)
    with pytest.raises(InputError, match=rf"^model.backbone: must be ({words})") as caught:
        load_classifier(str(folder), 2)
    assert "\n" not in str(caught.value)
