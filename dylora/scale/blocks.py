"""The repeated blocks of a backbone, and how each of them is spread over the processes."""

from collections import Counter

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from dylora.errors import InputError


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The outermost modules that a model repeats, in its order: its layers, or stages of them.

    They are the entries of every `nn.ModuleList` whose entries are of one class and have parameters, wherever none of
    them lies inside another one. Embeddings, a pooler and heads are in none.

    Args:
        model: A backbone.

    Raises:
        InputError: If there are none.
    """
    found: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and module not in inside and _repeats(module):
            found += module
            inside.update(inner for block in module for inner in block.modules())
    if not found:
        fix = "train it with --trainer.strategy ddp"
        raise InputError("--trainer.strategy", "ddp for a model without repeated blocks", type(model).__name__, fix)
    return found


def shard(model: nn.Module, device: torch.device, processes: int) -> list[FSDPModule]:
    """Spread the frozen parameters of each block over the processes, in place; what is trained stays whole in each.

    All of a block's are gathered before its forward and before its backward, and dropped behind both (FSDP2).
    Parameters that lie in several places of the model stay whole, too. A model that is spread already stays as it is.

    Args:
        model: With what is trained marked by `requires_grad`, the same in every process.
        device: Of this process.
        processes: How many there are; their group has been started.
    """
    blocks = blocks_of(model)
    whole = {parameter for parameter in model.parameters() if parameter.requires_grad} | _shared(model)
    mesh = init_device_mesh(device.type, (processes,))
    return [
        block
        if isinstance(block, FSDPModule)
        else fully_shard(block, mesh=mesh, reshard_after_forward=True, ignored_params=whole & set(block.parameters()))
        for block in blocks
    ]


def _repeats(modules: nn.ModuleList) -> bool:
    kinds = {type(each) for each in modules}
    return len(kinds) == 1 and all(any(True for _ in each.parameters()) for each in modules)


def _shared(model: nn.Module) -> set[nn.Parameter]:
    places = Counter(parameter for _, parameter in model.named_parameters(remove_duplicate=False))
    return {parameter for parameter, count in places.items() if count > 1}
