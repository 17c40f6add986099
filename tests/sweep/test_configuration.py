"""What of a resolved configuration decides the figures, and which changes count."""

import pytest

from dylora.sweep.configuration import changes, deciding, devices


def test_places_and_what_is_shown_decide_nothing():
    quiet = {"cache_dir": "/a", "num_workers": 4, "eval_batch_size": 1}
    trainer = {"default_root_dir": "/b", "enable_progress_bar": False, "logger": {"class_path": "CSV", "init_args": {}}}
    loud = {"data": {**quiet, "max_length": 8}, "trainer": {**trainer, "precision": "bf16-mixed"}}
    assert deciding(loud) == {"data.max_length": 8, "trainer.precision": "bf16-mixed"}


def test_a_class_is_named_as_its_options_are_on_the_command_line():
    model = {"class_path": "M", "init_args": {"learning_rate": 1e-3, "adapter": {"max_rank": 4}, "weights": {}}}
    assert deciding({"model": model}) == {
        "model.class_path": "M",
        "model.learning_rate": 1e-3,
        "model.adapter.max_rank": 4,
        "model.weights": {},
    }


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": 1}, {"a": 1, "new": 2}, []),  # an option that a newer version brought
        ({"trainer.strategy": "auto"}, {"trainer.strategy.class_path": "DDP"}, ["trainer.strategy"]),
        ({"trainer.callbacks": None}, {"trainer.callbacks": [{"class_path": "Own"}]}, ["trainer.callbacks"]),
    ],
)
def test_what_counts_as_a_change(before, now, expected):
    found = changes(before, now)
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("settings", "gpus", "expected"),
    [
        ({}, 0, 1),
        ({}, 4, 4),
        ({"trainer.devices": "auto", "trainer.accelerator": "cpu"}, 4, 1),
        ({"trainer.devices": -1}, 2, 2),
        ({"trainer.devices": 2, "trainer.num_nodes": 2}, 0, 4),
        ({"trainer.devices": [1]}, 4, 1),
        ({"trainer.devices": "0,1"}, 4, 2),
    ],
)
def test_the_number_of_devices(settings, gpus, expected):
    assert devices(settings, gpus) == expected
