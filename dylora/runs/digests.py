"""A digest of every tensor and of everything else in a file, by which a reader knows that it reads what was written.

They find what has changed by itself: a flipped bit, two storages that were swapped, values in another byte order, type
or shape, a field that is missing or another. They are no signature: whoever writes a file can write its digests.
"""

import hashlib
from collections.abc import Mapping, Sequence, Set
from typing import Any, cast

import torch
from torch import Tensor

DIGESTS = "digests"
"""Where a checkpoint, and `dylora.json`, hold theirs."""

_ALGORITHM = "blake2b-128"


def digests_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The digests of a mapping of plain types and tensors, nested in any way.

    Args:
        content: What is to be written, without `DIGESTS`, which does not count.

    Returns:
        The `algorithm`, for each of the `tensors` one over type, shape and values, by its place, and one over the rest,
        `fields`; all plain types.

    Raises:
        ValueError: If a tensor is larger than the memory behind it.
        RecursionError: If the content has no end.
    """
    tensors: dict[str, str] = {}
    fields = _written({key: value for key, value in content.items() if key != DIGESTS}, "", tensors)
    return {"algorithm": _ALGORITHM, "tensors": tensors, "fields": _hexadecimal(fields.encode(errors="surrogatepass"))}


def differing(content: Mapping[str, Any]) -> str | None:
    """What of a content is not as its digests say: the name of a tensor, or the fields; None if all is.

    Args:
        content: As it was read, with its digests.

    Raises:
        ValueError, RecursionError: As `digests_of`.
    """
    recorded, found = content[DIGESTS], digests_of(content)
    if not isinstance(recorded, Mapping) or recorded.get("algorithm") != _ALGORITHM:
        return "the digests are of another kind"
    theirs = recorded.get("tensors")
    if not isinstance(theirs, Mapping) or theirs.keys() != found["tensors"].keys():
        return "tensors are missing or new"
    changed = [name for name, digest in found["tensors"].items() if theirs[name] != digest]
    if changed:
        return f"{len(changed)} of {len(theirs)} tensors changed, {changed[0]} first"
    return None if recorded.get("fields") == found["fields"] else "fields changed that are no tensors"


def _written(value: object, place: str, tensors: dict[str, str]) -> str:
    """A value as text, the same for equal values alone; tensors are put aside under their places."""
    if isinstance(value, Tensor):
        tensors[place] = _of_tensor(value, place)
        return "tensor"
    if isinstance(value, Mapping):
        parts = (
            f"{key!r}:{_written(item, f'{place}/{key}' if place else str(key), tensors)}" for key, item in value.items()
        )
        return "{" + ",".join(sorted(parts)) + "}"
    if isinstance(value, Set):
        return "set" + ",".join(sorted(map(repr, value)))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        parts = (_written(item, f"{place}/{number}", tensors) for number, item in enumerate(value))
        return ("list[" if isinstance(value, list) else "tuple[") + ",".join(parts) + "]"
    return f"{type(value).__name__} {value!r}"


def _of_tensor(tensor: Tensor, place: str) -> str:
    if (
        tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
    ):  # a small file could ask for all memory
        raise ValueError(f"{place} repeats its values")
    digest = hashlib.blake2b(f"{tensor.dtype}{tuple(tensor.shape)}".encode(), digest_size=16)
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(cast(Any, flat.view(torch.uint8).numpy()))
    return digest.hexdigest()


def _hexadecimal(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
