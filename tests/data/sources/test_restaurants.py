"""The embedded table-to-text set."""

from dylora.data import RestaurantTextDataModule
from dylora.data.sources import embedded
from dylora.data.sources.restaurants import EmbeddedSource
from dylora.data.sources.text_items import group, pairs


def test_sizes_and_references():
    source = EmbeddedSource()
    sizes = {split: len(source.entries(split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 2000, "validation": 250, "test": 250}
    assert len(pairs(source.entries("train"))) == 8000
    assert {len(item.references) for item in group(source.entries("test"))} == {4}


def test_sources_are_linearised():
    for split in ("train", "validation", "test"):
        records = [row["mr"] for row in embedded.table_to_text(split)]
        expected = [record.removesuffix("]").replace("], ", " | ").replace("[", " : ") for record in records]
        assert [entry.source for entry in EmbeddedSource().entries(split)] == expected


def test_keys_tell_splits_apart_and_stay():
    source = EmbeddedSource()
    keys = [source.key(split) for split in ("train", "validation", "test")]
    assert len(set(keys)) == 3
    assert keys == [EmbeddedSource().key(split) for split in ("train", "validation", "test")]


def test_names():
    module = RestaurantTextDataModule()
    assert (module.task_name, module.name, module.run_name) == ("restaurants", "restaurants", "restaurants_text")
