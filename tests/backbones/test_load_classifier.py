"""Loading backbones, and telling them apart."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.identity import identify
from dylora.backbones.load import load_classifier, say_replaced_head
from dylora.errors import InputError
from dylora.modules.classification import SequenceClassificationModule


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


ARCHITECTURES = pytest.mark.parametrize("model_type", ["roberta", "bert", "distilbert", "deberta-v2", "gpt2", "bart"])
SAID = "brings the head of another task; a new one with"


@pytest.fixture
def fine_tuned(make_model, tmp_path):
    """Save a backbone with a head of three labels, as a model that was fine-tuned on MNLI."""

    def save(model_type="roberta"):
        model = make_model(model_type)
        model.save_pretrained(tmp_path)
        return str(tmp_path), model.state_dict()

    return save


def _head(model):
    return {name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")}


@ARCHITECTURES
@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_head_of_another_task_is_made_anew_at_any_width_and_said_so_once(model_type, width, fine_tuned, caplog):
    caplog.set_level("INFO")
    source, weights = fine_tuned(model_type)
    model, new = load_classifier(source, width)
    assert set(new) == _head(model)
    assert model.config.num_labels == width
    assert model(input_ids=torch.tensor([[1, 5, 6, 2]])).logits.shape == (1, width)
    for name, value in model.state_dict().items():
        if name not in new:
            assert torch.equal(value, weights[name]), name
        elif value.dim() > 1:
            assert value.shape != weights[name].shape or not torch.equal(value, weights[name]), name
            assert value.isfinite().all()
            assert value.std() > 0
    assert SAID not in caplog.text  # an evaluation has its head from the checkpoint
    say_replaced_head(model, source)
    assert caplog.text.count(f"{SAID} {width} outputs is trained") == 1


@ARCHITECTURES
def test_at_equal_width_the_head_is_kept_where_that_is_asked_for(model_type, fine_tuned, caplog):
    caplog.set_level("INFO")
    source, weights = fine_tuned(model_type)
    model, new = load_classifier(source, 3, keep_head=True)
    assert new == []
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    say_replaced_head(model, source)
    assert SAID not in caplog.text


def test_a_head_of_another_width_or_none_cannot_be_kept(fine_tuned, folder):
    source, _ = fine_tuned()
    with pytest.raises(InputError, match=r"model.keep_head: must be off, .*classifier.out_proj.bias has another shape"):
        load_classifier(source, 2, keep_head=True)
    with pytest.raises(InputError, match=r"model.keep_head: must be off, .* whose weights lack classifier.dense"):
        load_classifier(folder, 2, keep_head=True)


def test_a_new_head_is_trained_and_so_is_a_kept_one(fine_tuned):
    source, _ = fine_tuned()
    for options in ({}, {"keep_head": True}):
        task = {"task": "mnli"} if options else {"task": "rte"}
        module = SequenceClassificationModule(**task, backbone=source, adapter=DyLoRAConfig(max_rank=2), **options)
        assert all(module.model.get_parameter(name).requires_grad for name in _head(module.model))


def test_a_backbone_without_a_head_says_nothing(folder, caplog):
    caplog.set_level("INFO")
    load_classifier(folder, 2)
    assert not caplog.text


def test_weights_of_another_shape_than_the_config_says_are_refused(folder, tmp_path):
    shutil.copy(f"{folder}/model.safetensors", tmp_path)
    config = json.loads(Path(folder, "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(InputError, match=r"in whose weights \d+ have other shapes, roberta.encoder.layer.0"):
        load_classifier(str(tmp_path), 2)
