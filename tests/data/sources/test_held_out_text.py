"""Inputs held out of the training inputs: none in both parts, all in one, each with all its texts."""

import pytest

from dylora.data.sources.held_out_text import HeldOutText
from dylora.data.sources.holdout import Holdout
from dylora.data.sources.text_items import Entry
from dylora.errors import InputError


class Set:
    """30 training entries with 10 inputs, 2 validation and 1 test entries."""

    name, full_name, most_references = "set", "set-form", 6

    def key(self, split):
        return f"key of {split}"

    def entries(self, split):
        return [
            Entry(f"{split} {i % 10}", (f"text {i}",)) for i in range({"train": 30, "validation": 2, "test": 1}[split])
        ]


def test_an_input_is_in_one_part_with_all_its_texts():
    source = HeldOutText(Set(), Holdout(0.2, 3))
    train, validation = source.entries("train"), source.entries("validation")
    assert (len(train), len(validation)) == (24, 6)
    assert not {entry.source for entry in train} & {entry.source for entry in validation}
    assert sorted(train + validation, key=str) == sorted(Set().entries("train"), key=str)
    assert HeldOutText(Set(), Holdout(0.2, 3)).entries("validation") == validation
    assert HeldOutText(Set(), Holdout(0.2, 4)).entries("validation") != validation


def test_the_test_split_is_the_sets_own_and_keys_differ():
    source = HeldOutText(Set(), Holdout(0.2, 3))
    assert source.entries("test") == Set().entries("test")
    assert source.key("test") == "key of test"
    assert len({source.key("train"), source.key("validation"), Set().key("train"), Set().key("validation")}) == 4
    assert (source.name, source.full_name, source.most_references) == ("set", "set-form", 6)


def test_a_share_without_an_input_is_refused():
    with pytest.raises(InputError, match=r"data.validation_share: must be a share that is an input or more of the 10"):
        HeldOutText(Set(), Holdout(0.01, 3)).entries("train")
