"""Which modules of a model are adapted."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from transformers.pytorch_utils import Conv1D

from dylora.errors import InputError

_QUERY_VALUE = ("query", "value")
_Q_V_PROJ = ("q_proj", "v_proj")
DEFAULT_TARGETS: dict[str, tuple[str, ...]] = {
    "albert": _QUERY_VALUE,
    "bart": _Q_V_PROJ,
    "bert": _QUERY_VALUE,
    "camembert": _QUERY_VALUE,
    "deberta-v2": ("query_proj", "value_proj"),
    "distilbert": ("q_lin", "v_lin"),
    "electra": _QUERY_VALUE,
    "gpt2": ("attn.c_attn[q,v]",),
    "llama": _Q_V_PROJ,
    "mistral": _Q_V_PROJ,
    "mt5": ("q", "v"),
    "opt": _Q_V_PROJ,
    "qwen2": _Q_V_PROJ,
    "qwen3": _Q_V_PROJ,
    "roberta": _QUERY_VALUE,
    "t5": ("q", "v"),
    "xlm-roberta": _QUERY_VALUE,
}
_THIRDS = re.compile(r"(?P<name>.+)\[(?P<thirds>[qkv](,[qkv])*)\]")


@dataclass(frozen=True)
class Target:
    """A module to adapt.

    Attributes:
        name: Its dotted name in the model.
        module: The module.
        thirds: Which of `q`, `k`, `v` of a fused projection; empty for the whole output.
    """

    name: str
    module: nn.Module
    thirds: tuple[str, ...] = ()


def is_linear_like(module: nn.Module) -> bool:
    """Whether a module can be adapted: it maps in_features to out_features, or it is GPT-2's Conv1D."""
    if isinstance(module, NonDynamicallyQuantizableLinear):  # nn.MultiheadAttention reads its weight, never calls it
        return False
    is_linear = hasattr(module, "in_features") and hasattr(module, "out_features") and hasattr(module, "weight")
    return is_linear or isinstance(module, Conv1D)


def default_targets(model: nn.Module) -> tuple[str, ...]:
    """Query and value projections of a known architecture.

    Raises:
        InputError: If the architecture is not known; the error lists the model's linear modules.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if model_type not in DEFAULT_TARGETS:
        allowed = "given for an architecture without a default"
        fix = f"choose from this model's linear modules: {_candidates(model)}"
        raise InputError("target_modules", allowed, f"nothing for {model_type!r}", fix)
    return DEFAULT_TARGETS[model_type]


def find_targets(model: nn.Module, patterns: Sequence[str] | None) -> list[Target]:
    """The modules that the patterns name, in the model's order; one that stands at two names comes twice.

    Args:
        model: Any model.
        patterns: See `DyLoRAConfig.target_modules`; None takes the default of the architecture.

    Raises:
        InputError: If a pattern matches nothing, or only modules that are not linear, or asks for thirds of a module
            that is not a fused query-key-value `Conv1D`.
    """
    if isinstance(patterns, str):
        patterns = (patterns,)
    if patterns is not None and not patterns:
        raise InputError("target_modules", "one pattern or more", "an empty list", "leave it out for the default")
    targets: dict[str, Target] = {}
    for pattern in patterns or default_targets(model):
        targets.update((target.name, target) for target in _matches(model, pattern))
    return [targets[name] for name, _ in model.named_modules(remove_duplicate=False) if name in targets]


def _matches(model: nn.Module, pattern: str) -> Iterator[Target]:
    bracket = _THIRDS.fullmatch(pattern)
    name_pattern = bracket["name"] if bracket else pattern
    thirds = tuple(bracket["thirds"].split(",")) if bracket else ()
    named = [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if fnmatchcase(name, name_pattern) or fnmatchcase(name, f"*.{name_pattern}")
    ]
    linear = [(name, module) for name, module in named if is_linear_like(module)]
    if not linear:
        found = f"only modules that are not linear ({type(named[0][1]).__name__})" if named else "nothing"
        fix = f"choose from {_candidates(model)}"
        given = f"{pattern!r}, which matches {found}"
        raise InputError("target_modules", "names of linear modules of the model", given, fix)
    for name, module in linear:
        if thirds and not _is_fused(module):
            allowed = "a fused query-key-value Conv1D where [q,v] is asked for"
            raise InputError("target_modules", allowed, f"{pattern!r} at {name}", "leave the brackets out")
        yield Target(name, module, thirds)


def _is_fused(module: nn.Module) -> bool:
    return isinstance(module, Conv1D) and module.weight.shape[1] == 3 * module.weight.shape[0]


def _candidates(model: nn.Module) -> str:
    """The last parts of the names of all linear modules."""
    every = model.named_modules(remove_duplicate=False)
    names = {name.rpartition(".")[2] for name, module in every if is_linear_like(module)}
    return ", ".join(sorted(names)) or "(none: this model has no linear modules)"
