"""Who a backbone is: its name, and a fingerprint of its frozen weights and buffers."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

_SAMPLES_PER_TENSOR = 4096


@dataclass(frozen=True)
class BackboneIdentity:
    """Which backbone an adapter belongs to.

    Attributes:
        name: Hub name or folder, as it was given.
        revision: The hub's commit, or None for a folder.
        fingerprint: Hash over the names, shapes and evenly spaced values of all frozen weights and of the buffers
            that are saved with them (running statistics), 16 hex digits.
        parameter_fingerprint: The same without the buffers, as checkpoints recorded it before there was the other.
    """

    name: str
    revision: str | None
    fingerprint: str
    parameter_fingerprint: str

    def as_dict(self) -> dict[str, str | None]:
        """Plain types, for a checkpoint."""
        return asdict(self)


@torch.no_grad()
def identify(model: nn.Module, name: str, without: Collection[str] = ()) -> BackboneIdentity:
    """Who a backbone is, from what is frozen of it; call it once the model is adapted.

    Args:
        model: The model.
        name: Name of the backbone.
        without: Names of buffers that do not count, since training moved them.
    """
    frozen = {key: p for key, p in model.named_parameters() if not p.requires_grad}
    saved = model.state_dict(keep_vars=True).keys() - set(without)
    buffers = {key: buffer for key, buffer in model.named_buffers() if key in saved}
    revision = getattr(getattr(model, "config", None), "_commit_hash", None)
    return BackboneIdentity(name, revision, _fingerprint(frozen | buffers), _fingerprint(frozen))


def _fingerprint(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted((key.replace(".base_layer", ""), tensor) for key, tensor in tensors.items()):
        flat = tensor.detach().reshape(-1)
        stride = max(1, flat.numel() // _SAMPLES_PER_TENSOR)
        digest.update(f"{key}{tuple(tensor.shape)}".encode())
        digest.update(flat[::stride].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
