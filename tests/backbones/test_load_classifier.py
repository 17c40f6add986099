"""Loading backbones, and telling them apart."""

import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.identity import identify
from dylora.backbones.load import load_classifier
from dylora.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_backbone(tmp_path_factory.mktemp("backbone"))


def _identity(source, name="x"):
    model, _ = load_classifier(source, 2)
    return identify(adapt(model, DyLoRAConfig(max_rank=2)), name)


def test_only_the_head_is_new(folder):
    model, new = load_classifier(folder, 3)
    assert {name.partition(".")[0] for name in new} == {"classifier"}
    assert model.classifier.out_proj.weight.shape == (3, 16)
    assert model.training
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_fingerprint_ignores_the_random_head_and_the_name(folder):
    assert _identity(folder, "a").fingerprint == _identity(folder, "b").fingerprint


def test_fingerprint_differs_for_other_weights(folder, tmp_path):
    other = tiny.save_backbone(tmp_path, seed=1)
    assert _identity(folder).fingerprint != _identity(other).fingerprint


def test_fingerprint_is_that_of_the_adapted_and_the_plain_backbone(folder):
    model, _ = load_classifier(folder, 2)
    plain = [name for name, _ in model.named_parameters() if not name.startswith("classifier")]
    adapted = adapt(model, DyLoRAConfig(max_rank=2))
    frozen = [n.replace(".base_layer", "") for n, p in adapted.named_parameters() if not p.requires_grad]
    assert sorted(plain) == sorted(frozen)


def test_a_folder_without_weights_says_what_it_holds(folder, tmp_path):
    load_classifier(folder, 2)[0].config.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"a folder with config.json and weights .* which holds config.json"):
        load_classifier(str(tmp_path), 2)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"model.backbone: must be a folder or a hub name that can be reached, got"):
        load_classifier(str(tmp_path / "nowhere"), 2)


def test_a_hub_name_without_network_says_how_to_work_offline():
    with pytest.raises(InputError, match=r"got 'someone/some-model'; offline, give a local folder"):
        load_classifier("someone/some-model", 2)


def test_weights_that_do_not_fit_the_architecture_are_refused(folder, tmp_path):
    shutil.copy(f"{folder}/config.json", tmp_path)
    tensors = {k: v for k, v in load_file(f"{folder}/model.safetensors").items() if ".layer.1." not in k}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"weights lack \d+ of them, roberta.encoder.layer.1"):
        load_classifier(str(tmp_path), 2)


def test_loading_prints_nothing(folder, capfd):
    load_classifier(folder, 2)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
