"""What a checkpoint says about the model it belongs to, and how one is read without running anything in it."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info

from dylora.errors import InputError
from dylora.runs.checkpoint_content import fault_of
from dylora.runs.digests import DIGESTS, differing

FORMAT = 2
_READABLE = (1, 2)  # format 1 does not say how its module was made
KEY = "dylora"
_noted: set[str] = set()  # files that were said to be without digests


def identity(
    task: str, backbone: Mapping[str, str | None], adapter: Mapping[str, Any], method: str = "adapter"
) -> dict[str, Any]:
    """What a checkpoint records besides the trained weights, in plain types.

    Args:
        task: Name of the task.
        backbone: `BackboneIdentity.as_dict()`.
        adapter: What the adapters compute: max_rank, alpha, scaling, target modules; empty without adapters.
        method: What was trained of the backbone: the `name` of one of `dylora.methods`.
    """
    return {"format": FORMAT, "task": task, "method": method, "backbone": dict(backbone), "adapter": dict(adapter)}


def check_identity(found: Mapping[str, Any] | None, expected: Mapping[str, Any]) -> None:
    """Compare what a checkpoint records with the model it is to be loaded into.

    Raises:
        InputError: Naming both sides of the first difference.
    """
    if found is None or found.get("format") not in _READABLE:
        given = "none" if found is None else f"format {found.get('format')}"
        raise InputError("--ckpt_path", f"a dylora checkpoint of format {FORMAT}", given, "give a file that fit wrote")
    if found["task"] != expected["task"]:
        fix = f"set --data.task {found['task']} (for text, choose --data), or choose another checkpoint"
        raise InputError("--ckpt_path", f"trained on task {expected['task']!r}", repr(found["task"]), fix)
    labels = expected.get("labels")  # files from before they were kept do not have them
    if labels is not None and found.get("labels", labels) != labels:
        given = f"one trained on {', '.join(found['labels']) or 'scores'}"
        fix = "leave --data.labels out, train on this data, or choose another checkpoint"
        allowed = f"trained on the classes of the data ({', '.join(labels) or 'scores'})"
        raise InputError("--ckpt_path", allowed, given, fix)
    theirs, ours = found["backbone"], expected["backbone"]
    if theirs.get("quantization") != ours.get("quantization"):
        allowed = f"trained on a backbone with quantization {ours.get('quantization')}"
        fix = f"set --model.quantization {theirs.get('quantization') or 'null'}, or choose another checkpoint"
        raise InputError("--ckpt_path", allowed, theirs.get("quantization"), fix)
    if theirs.get("dtype") != ours.get("dtype"):
        held, found_in = (each.get("dtype") or "fp32" for each in (ours, theirs))
        fix = f"set --model.backbone_dtype {found_in}, or choose another checkpoint"
        raise InputError("--ckpt_path", f"trained on a backbone in {held}", f"one trained in {found_in}", fix)
    # Files from before buffers counted have the fingerprint of the parameters alone.
    if theirs["fingerprint"] not in (ours["fingerprint"], ours.get("parameter_fingerprint")):
        allowed = f"trained on backbone {ours['name']!r} (weights {ours['fingerprint']})"
        given = f"one trained on {theirs['name']!r} (weights {theirs['fingerprint']})"
        fix = f"set --model.backbone {theirs['name']}, or choose another checkpoint"
        raise InputError("--ckpt_path", allowed, given, fix)
    method = found.get("method", "adapter")  # files from before there were others do not name it
    if method != expected["method"]:
        fix = "choose its class with --model.method, or another checkpoint"
        raise InputError("--ckpt_path", f"trained with method {expected['method']}", f"method {method}", fix)
    for key, value in expected["adapter"].items():
        if found["adapter"].get(key) != value:
            given = f"{key} {found['adapter'].get(key)}"
            fix = f"set --model.adapter.{key} to it, or choose another checkpoint"
            raise InputError("--ckpt_path", f"trained with {key} {value}", given, fix)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint of plain types; code in it is refused and not run.

    It is compared with the digests that it holds. A file of an earlier version has none, which is noted; its zip
    archive's checksums are verified in their place.

    Raises:
        InputError: If the file is missing, truncated, of another kind, or holds anything but plain types; if it has
            changed since it was written; if a field of dylora's is missing or of another type; or if weights or moments
            are NaN or infinite.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about foreign pickles before it refuses them
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError("--ckpt_path", "a file", f"{str(path)!r}, which does not exist", "check the path") from None
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path):
            given = f"{str(path)!r}, which holds other objects"
            fix = "it was refused and nothing in it was run; use a checkpoint that fit wrote"
            raise InputError("--ckpt_path", "a checkpoint of plain types", given, fix) from error
        raise _unreadable(path) from error
    except Exception as error:  # torch raises many kinds for a damaged file, IndexError and TypeError among them
        raise _unreadable(path) from error
    if not isinstance(checkpoint, dict):
        raise _unreadable(path)
    try:
        fault = _fault(checkpoint, Path(path))
    except (RuntimeError, TypeError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise _unreadable(path) from error
    if fault is not None:
        fix = (
            "it was damaged or changed after it was written: copy it again, or use another one, last.ckpt or best.ckpt"
        )
        raise InputError("--ckpt_path", "a whole checkpoint", f"{str(path)!r}, in which {fault}", fix)
    return checkpoint


def _fault(checkpoint: dict[str, Any], path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None if nothing is."""
    if DIGESTS in checkpoint:
        if found := differing(checkpoint):
            return found
    else:
        with zipfile.ZipFile(path) as archive:
            if (name := archive.testzip()) is not None:
                return f"{name} is damaged"
        if str(path) not in _noted:
            _noted.add(str(path))
            rank_zero_info(f"{path} holds no digests (an earlier version wrote it): damage is found in part only.")
    return fault_of(checkpoint, checkpoint[KEY]) if KEY in checkpoint else None


def _unreadable(path: str | Path) -> InputError:
    given = f"{str(path)!r}, which is corrupt, truncated or of another kind"
    return InputError("--ckpt_path", "a checkpoint that fit wrote", given, "use another one, last.ckpt or best.ckpt")
