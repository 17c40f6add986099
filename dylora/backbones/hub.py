"""Whether the Hugging Face hub can be reached, asked once and before anything that would try again and again."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dylora.backbones.hub_logs import OFFLINE_FIX
from dylora.errors import InputError

_SECONDS = 5.0


def check_hub(name: str, revision_file: str = "config.json") -> None:
    """Refuse a name on the hub that is neither in the cache nor to be had, where the libraries retry for half a minute.

    Args:
        name: Hub name or folder of a backbone.
        revision_file: The file that the cache must have.

    Raises:
        InputError: If it is a hub name, is not in the cache, and the hub does not answer.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    folder = Path(name).expanduser()
    if constants.is_offline_mode() or folder.is_absolute() or folder.is_dir() or name.startswith("."):
        return
    try:
        is_cached = isinstance(try_to_load_from_cache(name, revision_file), str)
    except ValueError:  # no hub name at all, which the libraries say at once
        return
    if not is_cached and not _answers(constants.ENDPOINT):
        allowed = "a folder, or a hub name that can be reached or lies in the cache"
        fix = f"give a local folder (--model.backbone DIR) {OFFLINE_FIX}"
        raise InputError("model.backbone", allowed, f"{name!r}, and no answer from {constants.ENDPOINT}", fix)


@contextmanager
def cache_alone_if_unreachable(name: str) -> Iterator[None]:
    """Without an answer from the hub, inside this the libraries look in their caches alone.

    They would try again and again, for half a minute, before they do.

    Args:
        name: Hub name or folder of a data set.
    """
    from datasets import config  # type: ignore[import-untyped]
    from huggingface_hub import constants

    if constants.is_offline_mode() or Path(name).exists() or _answers(constants.ENDPOINT):
        yield
        return
    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


@cache
def _answers(endpoint: str) -> bool:
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_SECONDS)
    except Exception:  # of the library's HTTP client, which is not the same in all its versions
        return False
    return True
