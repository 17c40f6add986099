"""A split of any set on the Hugging Face hub, as a table."""

from dataclasses import dataclass
from typing import Any

from dylora.data.sources.hub import load_from_hub
from dylora.data.sources.table import Table, check_table
from dylora.errors import InputError


@dataclass(frozen=True)
class HubSet:
    """A set on the Hugging Face hub, or in its cache.

    Args:
        name: Repository, such as `stanfordnlp/imdb`.
        configuration: Name of the configuration, where the repository has several.
        train: Name of the training split.
        validation: Name of the validation split; null splits one off the training split.
        test: Name of the split that `test` and `predict` run over; null for none.
    """

    name: str
    configuration: str | None = None
    train: str = "train"
    validation: str | None = "validation"
    test: str | None = "test"


def read_hub_split(hub: HubSet, split: str) -> Table:
    """The rows of a split, classes by their names where the set names them.

    Args:
        hub: The set.
        split: Name of the split in the set.

    Raises:
        InputError: If the set cannot be loaded, or has no such split.
    """
    from datasets import ClassLabel  # type: ignore[import-untyped]

    try:
        data = load_from_hub(hub.name, "files", hub.configuration)
    except InputError as error:
        given = f"{hub.name} ({hub.configuration})" if hub.configuration else hub.name
        fix = "check name and configuration, or give files (--data.train_file FILE)"
        raise InputError("data.hub.name", "a set that the hub or its cache has", given, fix) from error
    if split not in data:
        fix = "name one with --data.hub.train, --data.hub.validation or --data.hub.test"
        raise InputError("data.hub", f"a split of {hub.name} ({', '.join(data)})", repr(split), fix)
    rows = data[split]
    columns = [_named(rows[name][:], rows.features[name], ClassLabel) for name in rows.column_names]
    table = Table(
        f"{hub.name} {split}",
        tuple(rows.column_names),
        list(zip(*columns, strict=True)),
        "row",
        range(1, len(rows) + 1),
    )
    return check_table(table)


def _named(values: list[Any], feature: Any, class_label: type) -> list[Any]:  # noqa: ANN401 (of datasets)
    """Class ids as names; the hub writes -1 for a label that is not public."""
    if not isinstance(feature, class_label):
        return values
    names = feature.names  # type: ignore[attr-defined]
    return [None if value is None or value < 0 else names[value] for value in values]
