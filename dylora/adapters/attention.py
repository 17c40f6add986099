"""The query and value projections of every attention module of a model, found by its structure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import nn

from dylora.adapters.fused import fused_slices
from dylora.adapters.linear import is_linear_like
from dylora.adapters.slices import OutputSlice

_PAIRS = (  # names of the query and the value projection in one attention module
    ("query", "value"),
    ("q_proj", "v_proj"),
    ("q_lin", "v_lin"),
    ("q", "v"),
    ("query_proj", "value_proj"),
    ("linear_q", "linear_v"),
    ("to_q", "to_v"),
    ("Wq", "Wv"),
    ("q_head", "v_head"),
    ("project_q", "project_v"),
    ("projection_query", "projection_value"),
    ("query_key", "value"),  # Reformer's hashing attention: one projection for both
    ("q_content_proj", "v_proj"),
    ("self_attn_query_content_proj", "self_attn_value_proj"),
    ("cross_attn_query_content_proj", "cross_attn_value_proj"),
)
_QUERIES_BESIDE_FUSED = ("q_proj", "q_b_proj", "q_gate_proj", "q_attn", "to_q")  # where key and value alone are fused


@dataclass(frozen=True)
class Target:
    """A module to adapt.

    Attributes:
        name: Its dotted name in the model.
        module: The module.
        slices: The slices of its output that get factors of their own, by name; empty for the whole output.
    """

    name: str
    module: nn.Module
    slices: dict[str, OutputSlice] = field(default_factory=dict)


def query_and_value_targets(model: nn.Module, usable: Callable[[nn.Module], bool]) -> list[Target]:
    """The query and value projections of every attention module, self- and cross-attention, of every tower.

    - Two linear layers side by side under a pair of names that models use (`query` and `value`, `q_proj` and `v_proj`,
      `q` and `v`, …).
    - A fused projection whose layout is known: its query and value alone. Where it holds the key and value only
      (GPT-2's cross-attention), the query layer beside it too.
    - Multi-head latent attention (DeepSeek-V2 and V3 and what followed): the layer that writes the heads' queries
      (`q_proj`, or `q_b_proj` behind the compression) and each head's value in `kv_b_proj`.
    - A query alone where attention of the same class has both: this layer takes its values from another one.

    Left out are Longformer's `query_global`, which most batches do not use, and `nn.MultiheadAttention`, which keeps
    all three in one parameter.

    Args:
        model: Any model.
        usable: Whether a module may be adapted.

    Returns:
        Targets in no particular order, at every name of a module that stands at several; empty if there is none.
    """
    every = list(model.named_modules(remove_duplicate=False))
    found = [target for name, module in every for target in _of_attention(name, module, usable)]
    complete = {type(model.get_submodule(target.name.rpartition(".")[0])) for target in found}
    sharing = ((name, module) for name, module in every if type(module) in complete)
    return [*found, *(target for name, module in sharing for target in _query_alone(name, module, usable))]


def _of_attention(name: str, attention: nn.Module, usable: Callable[[nn.Module], bool]) -> Iterator[Target]:
    linear = _linear_children(attention, usable)
    for query, value in _PAIRS:
        if query in linear and value in linear:
            yield from (Target(_join(name, linear[child][0]), linear[child][1]) for child in (query, value))
    for child, (path, module) in linear.items():
        slices = fused_slices(attention, child) if path == child else {}
        wanted = {part: place for part, place in slices.items() if part != "k"}
        if wanted:
            yield Target(_join(name, path), module, wanted)
        if wanted and "q" not in wanted:
            beside = [linear[query] for query in _QUERIES_BESIDE_FUSED if query in linear]
            yield from (Target(_join(name, path), query) for path, query in beside[:1])


def _query_alone(name: str, attention: nn.Module, usable: Callable[[nn.Module], bool]) -> Iterator[Target]:
    linear = _linear_children(attention, usable)
    if not any(value in linear for _, value in _PAIRS):
        yield from (Target(_join(name, linear[query][0]), linear[query][1]) for query, _ in _PAIRS if query in linear)


def _linear_children(module: nn.Module, usable: Callable[[nn.Module], bool]) -> dict[str, tuple[str, nn.Module]]:
    """Linear layers by their name in the module, with their path; some stand as `linear` in a module that clips."""
    found = {}
    for name, child in module.named_children():
        inner = getattr(child, "linear", None)
        if is_linear_like(child):
            found[name] = (name, child)
        elif isinstance(inner, nn.Module) and is_linear_like(inner) and len(list(child.children())) == 1:
            found[name] = (f"{name}.linear", inner)
    return {name: (path, child) for name, (path, child) in found.items() if usable(child)}


def _join(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child
