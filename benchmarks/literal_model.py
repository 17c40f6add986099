"""What an adapted model has to equal, made without the package: plain models with changed weights, and PEFT's LoRA.

Of the adapted model only the names and values of `lora_A` and `lora_B` are read. Which columns of a fused projection
write the query, the key and the value is found by trying: a token's query reaches the output at that token alone, its
value reaches other tokens in proportion, its key in another way.
"""

import copy
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

_FACTOR = re.compile(r"(?P<module>.+)\.factors(\.(?P<part>\w+))?\.lora_A")
Columns = dict[str, list[int]]


@dataclass(frozen=True)
class Factors:
    """One pair of factors of the adapted model.

    Attributes:
        module: Dotted name of the adapted module in the plain model.
        part: `q`, `k` or `v` of a fused projection; empty where the whole output is adapted.
        A: `lora_A`, (max_rank, in_features).
        B: `lora_B`, (out_features, max_rank).
    """

    module: str
    part: str
    A: Tensor
    B: Tensor


def factors_of(adapted: nn.Module) -> list[Factors]:
    """All pairs of factors, with the names that their modules have in the plain model."""
    parameters = dict(adapted.named_parameters())
    found = []
    for name, lora_A in parameters.items():
        if match := _FACTOR.fullmatch(name):
            part = match["part"] if match["part"] in ("q", "k", "v") else ""
            lora_B = parameters[name.removesuffix("A") + "B"]
            found.append(Factors(match["module"], part, lora_A.detach().clone(), lora_B.detach().clone()))
    return found


def scale(scaling: str, alpha: float, rank: int, max_rank: int) -> float:
    """The factor of the product, of the three rules by name."""
    rules = {"alpha/b": rank, "alpha/max_rank": max_rank, "alpha/sqrt(b*max_rank)": (rank * max_rank) ** 0.5}
    return alpha / rules[scaling]


def literal_model(
    base: PreTrainedModel, factors: list[Factors], columns: Mapping[str, Columns], rank: int, factor: float
) -> PreTrainedModel:
    """A copy of the plain model whose targeted weights are `W + factor * sum over k <= rank of B[:, k] A[k, :]`."""
    model = copy.deepcopy(base)
    for pair in factors:
        module = model.get_submodule(pair.module)
        weight = module.weight.data.T if isinstance(module, Conv1D) else module.weight.data  # (out, in), a view
        rows = columns[pair.module][pair.part] if pair.part else list(range(len(weight)))
        change = torch.zeros(len(rows), weight.shape[1], dtype=torch.float64)
        for k in range(rank):
            change += torch.outer(pair.B[:, k].double(), pair.A[k].double())
        weight[rows] += (factor * change).float()
    return model


def peft_model(
    base: PreTrainedModel, factors: list[Factors], columns: Mapping[str, Columns], rank: int, factor: float
) -> nn.Module:
    """The plain model with PEFT's LoRA of the same factors; on a fused projection, one of their ranks together."""
    pairs: dict[str, list[Factors]] = {}
    for pair in factors:
        pairs.setdefault(pair.module, []).append(pair)
    ranks = {name: rank * len(of) for name, of in pairs.items()}
    config = LoraConfig(
        target_modules=list(pairs),
        rank_pattern={f"^{re.escape(name)}$": r for name, r in ranks.items()},
        alpha_pattern={f"^{re.escape(name)}$": factor * r for name, r in ranks.items()},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that Conv1D lies transposed
        model = get_peft_model(copy.deepcopy(base), config).eval()
    for name, of in pairs.items():
        layer: Any = model.base_model.model.get_submodule(name)
        layer.lora_A["default"].weight.data = torch.cat([pair.A[:rank] for pair in of])
        up = torch.zeros_like(layer.lora_B["default"].weight.data)
        for place, pair in enumerate(of):
            rows = columns[name][pair.part] if pair.part else list(range(len(up)))
            up[rows, place * rank : (place + 1) * rank] = pair.B[:, :rank]
        layer.lora_B["default"].weight.data = up
    return model


def columns_of_fused(base: PreTrainedModel, factors: list[Factors], inputs: Mapping[str, Tensor]) -> dict[str, Columns]:
    """The columns of each fused projection that write queries, keys and values, in their order.

    Args:
        base: The plain model.
        factors: Those of the adapted model; the modules that have a part are the fused ones.
        inputs: Inputs of one row.
    """
    names = {pair.module for pair in factors if pair.part}
    return {name: _Probe(base, name).columns(inputs) for name in sorted(names)}


def _delta_net(attention: Any, name: str) -> Columns:  # noqa: ANN401
    """As the forward of the delta net of Qwen3-Next and its successors splits its projections."""
    key, value = attention.head_k_dim, attention.num_v_heads // attention.num_k_heads * attention.head_v_dim
    if name == "in_proj_qkv":
        widths = [attention.key_dim, attention.key_dim, attention.value_dim]
        starts = [0, attention.key_dim, 2 * attention.key_dim]
        return {part: list(range(s, s + w)) for part, s, w in zip("qkv", starts, widths, strict=True)}
    heads = range(0, attention.num_k_heads * (2 * key + 2 * value), 2 * key + 2 * value)
    queries = [head + column for head in heads for column in range(key)]
    return {"q": queries, "v": [head + 2 * key + column for head in heads for column in range(value)]}


def _every_head(attention: Any) -> Columns:  # noqa: ANN401
    """As the forward of MiniMax' lightning attention splits its projection: each head's query, key and value."""
    width = attention.head_dim
    starts = range(0, 3 * width * attention.num_attention_heads, 3 * width)
    return {p: [s + i * width + c for s in starts for c in range(width)] for i, p in enumerate("qkv")}


class _Probe:
    """Changes one column of a projection at the first token, and looks at the output of the attention around it."""

    def __init__(self, base: PreTrainedModel, name: str) -> None:
        self.base, self.name = base, name

    def columns(self, inputs: Mapping[str, Tensor]) -> Columns:
        """What each column is of the first token: its query reaches no other one, its value all in proportion."""
        parent, _, child = self.name.rpartition(".")
        attention = self.base.get_submodule(parent)
        kind = type(
            attention
        ).__name__  # two kinds of linear attention, whose keys and values trying does not tell apart
        if kind.endswith("GatedDeltaNet"):
            return _delta_net(attention, child)
        if kind == "MiniMaxLightningAttention":
            return _every_head(attention)
        module = self.base.get_submodule(self.name)
        weight = module.weight.T if isinstance(module, Conv1D) else module.weight
        found: Columns = {"q": [], "k": [], "v": []}
        before = self._attended(inputs, 0, 0.0)
        for column in range(len(weight)):
            once, twice = (self._attended(inputs, column, change) - before for change in (2.0, 4.0))
            reaches_others = float(once[1:].abs().max()) > 1e-5 * float(before.abs().max())
            bend = float((twice - 2 * once)[1:].abs().max()) / float(once[1:].abs().max() or 1)
            found["q" if not reaches_others else "v" if bend < 1e-3 else "k"].append(column)
        return found

    @torch.no_grad()
    def _attended(self, inputs: Mapping[str, Tensor], column: int, added: float) -> Tensor:
        """The attention's output (tokens, width) with a number added to one column at the first token."""
        seen: list[Tensor] = []

        def change(module: nn.Module, args: Any, output: Tensor) -> Tensor:  # noqa: ANN401
            output = output.clone()
            output.flatten(0, -2)[0, column] += added
            return output

        def see(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ANN401
            seen.append(output[0] if isinstance(output, tuple | list) else output)

        parent = self.base.get_submodule(self.name.rpartition(".")[0])
        hooks = [self.base.get_submodule(self.name).register_forward_hook(change), parent.register_forward_hook(see)]
        try:
            self.base(**inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return seen[0].flatten(0, -2)
