"""Which parts of a model are its repeated blocks."""

import pytest
from torch import nn

from dylora.errors import InputError
from dylora.scale.blocks import blocks_of

BLOCKS = {
    "roberta": ("RobertaLayer", 2),
    "gpt2": ("GPT2Block", 2),
    "llama": ("LlamaDecoderLayer", 2),
    "t5": ("T5Block", 4),
}


@pytest.mark.parametrize("family", BLOCKS)
def test_they_are_the_layers_of_the_encoder_and_the_decoder(make_model, family):
    name, count = BLOCKS[family]
    assert [type(block).__name__ for block in blocks_of(make_model(family))] == [name] * count


def test_what_is_repeated_inside_a_block_belongs_to_it():
    inner = nn.ModuleList(
        nn.ModuleDict({"experts": nn.ModuleList(nn.Linear(2, 2) for _ in range(3))}) for _ in range(2)
    )
    assert blocks_of(nn.ModuleDict({"layers": inner, "head": nn.Linear(2, 2)})) == list(inner)


def test_lists_of_several_kinds_or_without_parameters_are_none():
    mixed = nn.ModuleList([nn.Linear(2, 2), nn.LayerNorm(2)])
    with pytest.raises(InputError, match="ddp for a model without repeated blocks, got Sequential"):
        blocks_of(nn.Sequential(mixed, nn.ModuleList([nn.Dropout(), nn.Dropout()])))
