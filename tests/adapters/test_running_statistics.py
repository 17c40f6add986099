"""Running statistics: a frozen backbone's do not move, a trained head's are saved."""

import copy

import pytest
import torch
from tiny_models import tiny_config, tiny_inputs, tiny_model
from torch import nn
from transformers import Wav2Vec2ConformerForSequenceClassification

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.parameters import adapter_state
from dylora.adapters.running_statistics import hold_statistics, trained_buffers

CONFIG = DyLoRAConfig(2, target_modules=["linear_q", "linear_v"])


class Convolutional(nn.Module):
    """A normalised convolution, an attention's query and a normalised head."""

    base_model_prefix = "backbone"

    def __init__(self):
        super().__init__()
        query = nn.Linear(4, 4)
        self.backbone = nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False), query)
        self.head = nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.BatchNorm1d(4), nn.Linear(4, 2))

    def forward(self, x):
        return self.head(self.backbone(x))


@pytest.fixture
def conformer():
    model = tiny_model(Wav2Vec2ConformerForSequenceClassification, tiny_config("wav2vec2-conformer"))
    return adapt(model, CONFIG)


def buffers(model):
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def moved(before, model):
    return {name for name, buffer in model.named_buffers() if not torch.equal(before[name], buffer)}


def test_no_buffer_of_a_frozen_backbone_moves_in_training(conformer):
    before = buffers(conformer)
    for mode in (True, False, True):
        conformer.train(mode)
        conformer(**tiny_inputs(conformer)).logits.sum().backward()
        assert moved(before, conformer) == set()


def test_a_copy_holds_too(conformer):
    model = copy.deepcopy(conformer)
    before = buffers(model)
    model.train()(**tiny_inputs(model))
    assert moved(before, model) == set()


def test_the_rest_of_the_backbone_stays_in_training_mode(conformer):
    conformer.train()(**tiny_inputs(conformer))
    dropouts = [module for module in conformer.modules() if isinstance(module, nn.Dropout)]
    assert dropouts
    assert all(dropout.training for dropout in dropouts)


def test_a_heads_statistics_move_and_are_part_of_what_was_trained():
    model = adapt(Convolutional(), DyLoRAConfig(2, target_modules=["backbone.2"]))
    before = buffers(model)
    model.train()(torch.randn(8, 4))
    changed = {name for name in moved(before, model)}
    assert changed == {
        f"head.{place}.{name}" for place in (0, 1) for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert changed == set(trained_buffers(model))
    assert changed <= adapter_state(model).keys()
    twin = adapt(Convolutional(), DyLoRAConfig(2, target_modules=["backbone.2"]))
    twin.load_state_dict(adapter_state(model), strict=False)
    for name in changed:
        assert torch.equal(twin.get_buffer(name), model.get_buffer(name))


def test_a_norm_that_is_unfrozen_later_moves_again(conformer):
    conformer.requires_grad_(True)
    before = buffers(conformer)
    conformer.train()(**tiny_inputs(conformer))
    assert any("running_mean" in name for name in moved(before, conformer))


def test_statistics_move_again_once_the_handles_are_removed():
    model = Convolutional().requires_grad_(False)
    for handle in hold_statistics(model):
        handle.remove()
    before = buffers(model)
    model.train()(torch.randn(8, 4))
    assert len(moved(before, model)) == 12


def test_buffers_that_are_in_no_state_dict_hold_nothing():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("ids", torch.arange(3), persistent=False)

        def forward(self, x):
            return x

    module = Positions()
    hold_statistics(nn.Sequential(module))
    module.train()(torch.zeros(1))
    assert module.training
