"""The method of a name."""

from dylora.adapters.optim import OptimizerName
from dylora.errors import InputError
from dylora.methods.adapter import AdapterMethod
from dylora.methods.flop import FlopConfig, FlopMethod
from dylora.methods.full import FullMethod
from dylora.methods.method import Method, MethodName


def build_method(name: MethodName, flop: FlopConfig, optimizer: OptimizerName) -> Method:
    """The named method.

    Args:
        name: `adapter` (DyLoRA and LoRA), `full` (all parameters) or `flop` (factorised low-rank pruning).
        flop: Options of `flop`.
        optimizer: The optimizer that it is to be trained with.

    Raises:
        InputError: If there is no such method, or it has no adapters and the optimizer is about their rows.
    """
    if name == "adapter":
        return AdapterMethod()
    if name not in ("full", "flop"):
        raise InputError("model.method", "adapter, full or flop", repr(name), "choose one of them")
    if optimizer != "adamw":
        fix = "set model.optimizer: adamw; there are no rows of adapters"
        raise InputError("model.optimizer", f"adamw with method {name}", optimizer, fix)
    return FullMethod() if name == "full" else FlopMethod(flop)
