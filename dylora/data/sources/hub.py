"""Sets on the Hugging Face hub, or in its cache."""

from typing import TYPE_CHECKING, Any

from dylora.backbones import hub_logs
from dylora.backbones.hub import cache_alone_if_unreachable
from dylora.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]


def load_from_hub(name: str, files: str, configuration: str | None = None, **where: Any) -> "DatasetDict":  # noqa: ANN401
    """All splits of a set.

    Args:
        name: Repository on the hub, such as `nyu-mll/glue`.
        files: What to give in the place of the hub, for the message, such as `the official TSV files`.
        configuration: Name of the configuration, where the repository has several.
        **where: Further arguments of `datasets.load_dataset`, such as `data_dir` and `revision`.

    Raises:
        InputError: If the set is neither on a hub that can be reached nor in the cache.
    """
    from datasets import load_dataset

    try:
        with hub_logs.quiet(), cache_alone_if_unreachable(name):
            return load_dataset(name, configuration, **where)
    except (OSError, ValueError, RuntimeError) as error:
        what = f"{name} ({configuration})" if configuration else name
        allowed = f"a folder where {what} cannot be loaded from the hub or its cache"
        fix = f"give {files} with --data.data_dir DIR {hub_logs.OFFLINE_FIX}"
        raise InputError("data.data_dir", allowed, "null", fix) from error


def hub_key(rows: "Dataset") -> str:
    """The fingerprint of the rows, which changes when they do.

    The library, from 2 to 5 at least, has no public name for it.
    """
    return str(rows._fingerprint)
