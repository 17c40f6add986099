"""Which modules of a model are adapted."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn
from transformers.pytorch_utils import Conv1D

from dylora.adapters.attention import Target, query_and_value_targets
from dylora.adapters.fused import fused_slices, own_thirds
from dylora.adapters.linear import features, is_linear_like
from dylora.adapters.slices import OutputSlice, side_by_side
from dylora.errors import InputError

_BRACKETS = re.compile(r"(?P<name>.+)\[(?P<slices>[qkv](,[qkv])*)\]")


def find_targets(model: nn.Module, patterns: Sequence[str] | None, head: Sequence[nn.Parameter] = ()) -> list[Target]:
    """The modules to adapt, in the model's order; one that stands at two names comes twice.

    A pattern never matches a module of the task head, which is trained as it is, nor a layer whose weight is an
    embedding's too. Of two patterns that match a module the later one counts; slices of the two add up.

    Args:
        model: Any model.
        patterns: See `DyLoRAConfig.target_modules`; None takes the query and value projections of every attention.
        head: The parameters of the task head.

    Raises:
        InputError: If a pattern matches nothing that can be adapted, or asks for slices of a module whose output is not
            known to have them; without patterns, if the model has no attention whose projections are known.
    """
    if isinstance(patterns, str):
        patterns = (patterns,)
    if patterns is not None and not patterns:
        raise InputError("target_modules", "one pattern or more", "an empty list", "leave it out for the default")
    barred = _Barred(model, head)
    targets: dict[str, Target] = {}
    found = _defaults(model, barred) if patterns is None else (t for p in patterns for t in _matches(model, p, barred))
    for target in found:
        before = targets.get(target.name)
        if before and before.slices and target.slices:
            target = Target(target.name, target.module, {**before.slices, **target.slices})
        targets[target.name] = target
    return [_named(targets[name]) for name, _ in model.named_modules(remove_duplicate=False) if name in targets]


class _Barred:
    """Why a module of a model cannot be adapted.

    Args:
        model: The model.
        head: The parameters of its task head.
    """

    def __init__(self, model: nn.Module, head: Sequence[nn.Parameter]) -> None:
        embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        self._embeddings = {id(embedding.weight) for embedding in embeddings}
        self._head = {id(parameter) for parameter in head}

    def why(self, module: nn.Module) -> str:
        """What it is that bars a linear module, or nothing."""
        own = {id(parameter) for parameter in module.parameters()}
        if own & self._head:
            return "a part of the task head, which is trained as it is"
        if own & self._embeddings:
            return "tied to an embedding, so that resize_token_embeddings would drop the adapter"
        return ""

    def lets_through(self, module: nn.Module) -> bool:
        """Whether it can be adapted."""
        return is_linear_like(module) and not self.why(module)


def _defaults(model: nn.Module, barred: _Barred) -> list[Target]:
    targets = query_and_value_targets(model, barred.lets_through)
    if not targets:
        model_type = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
        allowed = "given for an architecture without a default"
        fix = f"choose from this model's linear modules: {_candidates(model, barred)}"
        raise InputError("target_modules", allowed, f"nothing for {model_type!r}", fix)
    return targets


def _matches(model: nn.Module, pattern: str, barred: _Barred) -> Iterator[Target]:
    bracket = _BRACKETS.fullmatch(pattern)
    name_pattern = bracket["name"] if bracket else pattern
    named = [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if fnmatchcase(name, name_pattern) or fnmatchcase(name, f"*.{name_pattern}")
    ]
    free = [(name, module) for name, module in named if barred.lets_through(module)]
    if not free:
        given = f"{pattern!r}, which matches {_instead(named, barred)}"
        fix = f"choose from {_candidates(model, barred)}"
        raise InputError("target_modules", "names of linear modules of the model", given, fix)
    for name, module in free:
        slices = _slices(model, name, bracket["slices"].split(","), pattern) if bracket else {}
        yield Target(name, module, slices)


def _instead(named: Sequence[tuple[str, nn.Module]], barred: _Barred) -> str:
    """What a pattern matches that matches nothing of use."""
    if not named:
        return "nothing"
    for name, module in named:
        if is_linear_like(module):
            return f"only {name}, {barred.why(module)}"
    return f"only modules that are not linear ({type(named[0][1]).__name__})"


def _slices(model: nn.Module, name: str, wanted: Sequence[str], pattern: str) -> dict[str, OutputSlice]:
    parent, _, child = name.rpartition(".")
    attention = model.get_submodule(parent)
    known = fused_slices(attention, child) or own_thirds(attention, child)
    if missing := [part for part in wanted if part not in known]:
        allowed = "a projection whose output is known to hold the slices in brackets"
        has = f"which has {', '.join(known)}" if known else f"whose layout in {type(attention).__name__} is not known"
        given = f"{pattern!r} at {name}, {has}"
        fix = f"leave {', '.join(missing)} out" if known else "leave the brackets out"
        raise InputError("target_modules", allowed, given, fix)
    return {part: known[part] for part in known if part in wanted}


def _named(target: Target) -> Target:
    """Checkpoints know the factors of a whole `Conv1D` as `all`."""
    if target.slices or not isinstance(target.module, Conv1D):
        return target
    return Target(target.name, target.module, side_by_side(all=features(target.module)[1]))


def _candidates(model: nn.Module, barred: _Barred) -> str:
    """The last parts of the names of all modules that can be adapted."""
    every = model.named_modules(remove_duplicate=False)
    names = {name.rpartition(".")[2] for name, module in every if barred.lets_through(module)}
    return ", ".join(sorted(names)) or "(none: this model has no linear modules)"
