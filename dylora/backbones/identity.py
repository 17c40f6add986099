"""Who a backbone is: its name, and a fingerprint of its frozen weights and buffers."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from dylora.backbones.dtype import is_bf16
from dylora.backbones.quantization import quantization_of

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
        quantization: How the weights are packed, such as `nf4`; the fingerprint is that of the packed weights then.
        dtype: `bf16` where the frozen weights are held in it, whose fingerprint is that of the rounded ones; else None.
    """

    name: str
    revision: str | None
    fingerprint: str
    parameter_fingerprint: str
    quantization: str | None = None
    dtype: str | None = None

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
    saved = _saved_buffers(model) - set(without)
    buffers = {key: buffer for key, buffer in model.named_buffers() if key in saved}
    revision = getattr(getattr(model, "config", None), "_commit_hash", None)
    prints = _fingerprint(frozen | buffers), _fingerprint(frozen)
    return BackboneIdentity(name, revision, *prints, quantization_of(model), "bf16" if is_bf16(model) else None)


def _saved_buffers(model: nn.Module) -> set[str]:
    """Names of the buffers that are saved; packed weights are not asked, whose `state_dict` lays them out anew."""
    found = set()
    for prefix, module in model.named_modules():
        if own := dict(module.named_buffers(recurse=False)):
            names = own.keys() & module.state_dict(keep_vars=True).keys()
            found |= {f"{prefix}.{name}" if prefix else name for name in names}
    return found


def _fingerprint(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted((key.replace(".base_layer", ""), tensor) for key, tensor in tensors.items()):
        flat = tensor.detach().reshape(-1)
        if flat.dtype == torch.uint8:  # two 4-bit values a byte, in an order that a forward may change
            counts = torch.bincount(flat & 15, minlength=16) + torch.bincount(flat >> 4, minlength=16)
            digest.update(f"{key}{counts.tolist()}".encode())
            continue
        stride = max(1, flat.numel() // _SAMPLES_PER_TENSOR)
        digest.update(f"{key}{tuple(tensor.shape)}".encode())
        digest.update(flat[::stride].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
