"""What cannot be trained over a shared backbone is refused in one line, before anything is spread."""

import pytest
import tiny
from lightning.pytorch import LightningModule

from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError
from dylora.methods.full import FullFineTuning
from dylora.modules.classification import SequenceClassificationModule
from dylora.scale.strategy import _checked


@pytest.fixture
def make(tmp_path):
    backbone = tiny.save_backbone(tmp_path / "roberta")
    return lambda **options: SequenceClassificationModule("restaurants", backbone, DyLoRAConfig(max_rank=4), **options)


def test_adapters_over_a_frozen_backbone_are_taken(make):
    module = make()
    assert _checked(module) is module


def test_a_method_that_freezes_nothing_is_refused(make):
    with pytest.raises(
        InputError, match=r"must be ddp where nothing of the backbone is frozen, got .* with full; take"
    ):
        _checked(make(method=FullFineTuning()))
    with pytest.raises(InputError, match="got ShardedBackbone with LightningModule"):
        _checked(LightningModule())


def test_a_quantised_and_a_compiled_backbone_are_refused(make):
    module = make()
    module.identity["backbone"]["quantization"] = "nf4"
    with pytest.raises(InputError, match="must be ddp for a quantised backbone"):
        _checked(module)
    with pytest.raises(InputError, match=r"model.compile: must be false with ShardedBackbone"):
        _checked(make(compile=True))
