"""Who a backbone is: its name, and a fingerprint of its frozen weights."""

import hashlib
from dataclasses import asdict, dataclass

import torch
from torch import nn

_SAMPLES_PER_TENSOR = 4096


@dataclass(frozen=True)
class BackboneIdentity:
    """Which backbone an adapter belongs to.

    Attributes:
        name: Hub name or folder, as it was given.
        revision: The hub's commit, or None for a folder.
        fingerprint: Hash over the names, shapes and evenly spaced values of all frozen weights, 16 hex digits.
    """

    name: str
    revision: str | None
    fingerprint: str

    def as_dict(self) -> dict[str, str | None]:
        """Plain types, for a checkpoint."""
        return asdict(self)


@torch.no_grad()
def identify(model: nn.Module, name: str) -> BackboneIdentity:
    """Who a backbone is, from its frozen parameters; call it once the model is adapted."""
    digest = hashlib.sha256()
    frozen = {key.replace(".base_layer", ""): p for key, p in model.named_parameters() if not p.requires_grad}
    for key, parameter in sorted(frozen.items()):
        flat = parameter.detach().reshape(-1)
        stride = max(1, flat.numel() // _SAMPLES_PER_TENSOR)
        digest.update(f"{key}{tuple(parameter.shape)}".encode())
        digest.update(flat[::stride].float().cpu().numpy().tobytes())
    revision = getattr(getattr(model, "config", None), "_commit_hash", None)
    return BackboneIdentity(name, revision, digest.hexdigest()[:16])
