"""Pretrained models: from the hub, from a folder, or the tiny ones of the package; and who they are."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from dylora import hub
from dylora.assets import resolve_backbone
from dylora.errors import InputError

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


def load_classifier(name: str, num_outputs: int) -> tuple[PreTrainedModel, list[str]]:
    """A backbone with a new task head for sentences.

    Args:
        name: Hub name, folder, or `builtin/roberta`.
        num_outputs: Width of the head; 1 for regression.

    Returns:
        The model, in fp32 and training mode, and the names of the parameters that the backbone did not bring.

    Raises:
        InputError: If there is no such backbone, its folder lacks files, or the hub cannot be reached.
    """
    return _load(AutoModelForSequenceClassification, name, num_labels=num_outputs)


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


def _load(auto_class: Any, name: str, **kwargs: Any) -> tuple[PreTrainedModel, list[str]]:  # noqa: ANN401
    source = resolve_backbone(name)
    try:
        with hub.quiet():
            model, info = auto_class.from_pretrained(
                source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=False, **kwargs
            )
    except (OSError, ValueError) as error:
        raise _explain(name, source, error) from error
    missing = sorted(info["missing_keys"])
    _check_weights(name, model, missing)
    return model.train(), missing


def _check_weights(name: str, model: PreTrainedModel, missing: list[str]) -> None:
    """Refuse weights that leave parts of the backbone, other than a pooler, at random values."""
    prefix = f"{model.base_model_prefix}."
    lost = [key for key in missing if key.startswith(prefix) and ".pooler." not in key]
    if lost:
        given = f"{name!r}, whose weights lack {len(lost)} of them, {lost[0]} first"
        raise InputError("model.backbone", f"weights for all of {type(model).__name__}", given, "use matching weights")


def _explain(name: str, source: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    folder = Path(source)
    if folder.is_dir():
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        allowed = "a folder with config.json and weights (model.safetensors)"
        return InputError("model.backbone", allowed, f"{name!r}, which holds {present}", f"put them there ({reason})")
    fix = "offline, give a local folder (--model.backbone DIR) or fill the hub's cache first and set HF_HUB_OFFLINE=1"
    return InputError("model.backbone", "a folder or a hub name that can be reached", repr(name), fix)
