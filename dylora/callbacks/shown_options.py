"""The options of a run by which people compare runs."""

from collections.abc import Mapping
from typing import Any

_SHOWN = {
    "learning rate": "model/learning_rate",
    "max_rank": "model/adapter/max_rank",
    "min_rank": "model/adapter/min_rank",
    "alpha": "model/adapter/alpha",
    "scaling": "model/adapter/scaling",
    "recipe": "rank_sampling/recipe",
    "distribution": "rank_sampling/distribution",
    "method": "model/method/class_path",
    "optimizer": "model/optimizer",
    "weight decay": "model/weight_decay",
    "backbone": "model/backbone",
    "task": "data/task",
    "batch size": "data/train_batch_size",
}


def shown_hyperparameters(options: Mapping[str, Any]) -> dict[str, Any]:
    """What TensorBoard lists of a run: ranks, learning rate, scaling, recipe and the like, and no places.

    Args:
        options: All options, with keys like `model/adapter/max_rank`.

    >>> shown_hyperparameters({"model/adapter/max_rank": 8, "data/cache_dir": "None", "rank_sampling/recipe": "lora"})
    {'max_rank': 8, 'recipe': 'lora'}
    """
    found = {name: options[key] for name, key in _SHOWN.items() if options.get(key) not in (None, "None")}
    return {name: value.rpartition(".")[2] if name == "method" else value for name, value in found.items()}
