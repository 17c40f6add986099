"""`fit --init_from`: training that starts from the adapter of another run."""

from pathlib import Path

from dylora.adapters.growing import grow_
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.runs.checkpoints import KEY, read_checkpoint
from dylora.runs.folders import checkpoint_of


def start_from(module: EveryRankModule, place: str) -> str:
    """Take over the adapter of a run, and its task head where that fits, before training.

    Args:
        module: Of the same backbone; of the same or a larger range of ranks; for the same or another task.
        place: Folder of the run, whose best checkpoint is taken, or a checkpoint.

    Returns:
        What was taken over, in words.

    Raises:
        InputError: If there is no such run, or its adapter does not fit.
    """
    path = Path(place)
    if not path.exists():
        raise InputError("--init_from", "a run or a checkpoint", f"{place!r}, which does not exist", "check the path")
    path = checkpoint_of(path) if path.is_dir() else path
    checkpoint = read_checkpoint(path)
    found = checkpoint.get(KEY) or {}
    if found.get("method", "adapter") != "adapter" or not found.get("adapter") or not module.method.has_adapters:
        raise InputError("--init_from", "a run with adapters, for a model with adapters", place, "choose another run")
    theirs, ours = found["backbone"], module.identity["backbone"]
    if theirs["fingerprint"] not in (ours["fingerprint"], ours.get("parameter_fingerprint")):
        allowed = f"a run on backbone {ours['name']!r} (weights {ours['fingerprint']})"
        given = f"one on {theirs['name']!r} (weights {theirs['fingerprint']})"
        raise InputError("--init_from", allowed, given, f"set --model.backbone {theirs['name']}")
    growth = grow_(module, checkpoint["state_dict"], found["adapter"])
    head = "" if not growth.left else f"; new: {', '.join(growth.left)}"
    kept = f", with {len(growth.taken)} tensors of the task head" if growth.taken else ""
    return f"Starts from {path}: ranks 1 to {growth.old_rank} as they were{kept}{head}"
