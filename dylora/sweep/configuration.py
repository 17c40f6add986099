"""The resolved configuration of a run: what of it decides the figures, what changed, on how many devices it runs."""

from collections.abc import Iterator, Mapping
from typing import Any

Settings = dict[str, Any]
"""Options with dots, as on the command line, and their values."""

_DECIDE_NOTHING = {
    "ckpt_path",
    "config",
    "data.cache_dir",
    "data.cache_size",
    "data.eval_batch_size",
    "data.num_workers",
    "data.predict_split",
    "data.seed",
    "model.eval_rows",
    "rank_sampling.seed",
    "trainer.default_root_dir",
    "trainer.detect_anomaly",
    "trainer.enable_autolog_hparams",
    "trainer.enable_checkpointing",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.inference_mode",
    "trainer.limit_predict_batches",
    "trainer.limit_test_batches",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.model_registry",
    "trainer.num_sanity_val_steps",
    "trainer.profiler",
}
"""Places, what is shown, what only costs time or memory, and what `seed_everything` says; with all below them."""


def deciding(configuration: Mapping[str, Any]) -> Settings:
    """The options that decide a run's figures, of a configuration with all defaults.

    >>> deciding({"model": {"init_args": {"alpha": 16}}, "trainer": {"logger": {"class_path": "L"}, "max_steps": 9}})
    {'model.alpha': 16, 'trainer.max_steps': 9}
    """
    return dict(_flat(configuration, ""))


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The options that have another value now; those that only one version of the package has do not count.

    >>> changes({"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3, "c.class_path": "C", "new": 4})
    ['b', 'c.class_path']
    """
    keys = sorted(before.keys() | now.keys())
    return [key for key in keys if before.get(key) != now.get(key) and _is_in(key, before) and _is_in(key, now)]


def devices(settings: Mapping[str, Any], gpus: int) -> int:
    """On how many devices a run is trained, a process each.

    Args:
        settings: The run's options.
        gpus: The number of GPUs that are visible here.

    >>> [devices({"trainer.devices": value}, 0) for value in ("auto", 2, "2", [0, 1, 3], "0,1")]
    [1, 2, 2, 3, 2]
    """
    asked = settings.get("trainer.devices", "auto")
    if isinstance(asked, str) and "," in asked:
        asked = [part for part in asked.split(",") if part.strip()]
    if isinstance(asked, list):
        count = len(asked)
    elif asked in ("auto", -1, "-1", None):
        count = 1 if settings.get("trainer.accelerator") == "cpu" else max(1, gpus)
    else:
        count = int(asked)
    return count * int(settings.get("trainer.num_nodes") or 1)


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        key = prefix if name == "init_args" else f"{prefix}.{name}" if prefix else name
        if key in _DECIDE_NOTHING:
            continue
        if isinstance(item, Mapping) and item:
            yield from _flat(item, key)
        else:
            yield key, item


def _is_in(key: str, settings: Mapping[str, Any]) -> bool:
    """Whether an option, one below it, or one above it is among the settings."""
    return any(f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}.") for name in settings)
